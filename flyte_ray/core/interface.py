"""What goes into a task and what comes out: names, types, defaults, and how a call is bound.

Rules: parameters are fixed and named (no `*args`); outputs are `o0, o1, …` or the fields of a
NamedTuple; `-> None` means none. Calls bind as strictly as Python does, with a message that names
task and parameter. Types are only read here; checking values is the codecs' business.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_type_hints

from flyte_ray.core.annotation import accepts_none, describe_type, is_named_tuple, output_types
from flyte_ray.core.docstring import Docstring, parsed
from flyte_ray.errors import WrongCallError

logger = logging.getLogger(__name__)

_EMPTY = inspect.Parameter.empty
_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The inputs and outputs of one task.

    Example:
        >>> def scale(x: float, factor: int = 2) -> float:
        ...     return x * factor
        >>> interface = Interface.from_callable(scale)
        >>> interface.bind(1.5)
        {'x': 1.5, 'factor': 2}
        >>> interface.outputs
        {'o0': <class 'float'>}
    """

    inputs: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Parameter name to (type, default or `inspect.Parameter.empty`), in signature order."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Output name to type, in order."""
    name: str = ""
    """Name of the task or function, for messages."""
    module: str = ""
    """Module of the function; its classes go by their bare name in `signature`."""
    doc: str | None = None
    """The function's docstring, as written."""
    returns: Any = None
    """The return annotation, resolved."""
    positional_only: frozenset[str] = frozenset()
    keyword_only: frozenset[str] = frozenset()

    @classmethod
    def from_callable(cls, func: Callable[..., Any], *, name: str = "") -> Interface:
        """Read a function's signature.

        Args:
            func: any function; string annotations are resolved.
            name: what messages call it; the function's own name by default.

        Raises:
            ValueError: it takes `*args` or `**kwargs`.
            TypeError: it returns a tuple of one or of unknown length.
            NameError: an annotation cannot be resolved.
        """
        label = name or getattr(func, "__qualname__", type(func).__name__)
        hints = get_type_hints(_annotated(func), include_extras=True)
        parameters = inspect.signature(func).parameters
        returns = hints.get("return")
        fields = get_type_hints(returns, include_extras=True) if is_named_tuple(returns) else {}
        return cls(
            inputs=_inputs(parameters, hints, label),
            outputs=output_types(returns, fields),
            name=label,
            module=getattr(func, "__module__", "") or "",
            doc=inspect.getdoc(func),
            returns=returns,
            positional_only=_names_of_kind(parameters, _POSITIONAL_ONLY),
            keyword_only=_names_of_kind(parameters, _KEYWORD_ONLY),
        )

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return tuple(self.outputs)

    @property
    def is_named_tuple(self) -> bool:
        """True when the outputs are the fields of a NamedTuple."""
        return is_named_tuple(self.returns)

    @property
    def docstring(self) -> Docstring:
        """`doc`, taken apart."""
        return parsed(self.doc)

    def has_outputs(self) -> bool:
        """True when the task returns something."""
        return bool(self.outputs)

    def required_inputs(self) -> list[str]:
        """Names of the inputs without a default, in order."""
        return [name for name, (_, default) in self.inputs.items() if default is _EMPTY]

    def num_required_inputs(self) -> int:
        """How many inputs have no default."""
        return len(self.required_inputs())

    def get_input_types(self) -> dict[str, Any]:
        """Input name to type, in order."""
        return {name: kind for name, (kind, _) in self.inputs.items()}

    def bind(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Arguments by parameter name, in signature order, defaults filled in.

        A positional-only parameter may be given by name as well: `run(task, x=1)` must reach it.

        Raises:
            WrongCallError: (a `TypeError`) too many, unknown, doubled or missing arguments.
        """
        if not kwargs and not self.keyword_only and len(args) == len(self.inputs):
            return dict(zip(self.inputs, args, strict=True))  # what most calls in a fan-out are
        places = [name for name in self.inputs if name not in self.keyword_only]
        if len(args) > len(places):
            raise self._wrong(
                f"takes {len(places)} positional arguments, but {len(args)} were given"
            )
        given = dict(zip(places, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.inputs:
                raise self._wrong(self._unknown(name), name)
            if name in given:
                raise self._wrong(f"got parameter '{name}' twice", name)
            given[name] = value
        missing = [name for name in self.required_inputs() if name not in given]
        if missing:
            names = ", ".join(f"'{name}'" for name in missing)
            raise self._wrong(f"misses a value for {names}", missing[0])
        return {name: given.get(name, default) for name, (_, default) in self.inputs.items()}

    def convert_to_kwargs(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """`bind`, under Flyte's name."""
        return self.bind(*args, **kwargs)

    def call(self, func: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        """Call `func` with bound inputs, handing positional-only ones over by position."""
        if not self.positional_only:
            return func(**inputs)
        first = [inputs[name] for name in self.inputs if name in self.positional_only]
        rest = {name: inputs[name] for name in inputs if name not in self.positional_only}
        return func(*first, **rest)

    def pack(self, outputs: Mapping[str, Any]) -> Any:
        """What the task returned, from its outputs by name: nothing, one value or a tuple."""
        values = [outputs[name] for name in self.outputs]
        if self.is_named_tuple:
            return self.returns._make(values)
        if not values:
            return None
        return values[0] if len(values) == 1 else tuple(values)

    def signature(self) -> list[list[str]]:
        """Plain rows `[direction, name, type name]`, sorted: the interface as far as it is hashed.

        Order and defaults do not count: values are stored by name with defaults filled in.
        """
        rows = [
            ["in", name, describe_type(kind, self.module)]
            for name, (kind, _) in self.inputs.items()
        ]
        rows += [
            ["out", name, describe_type(kind, self.module)] for name, kind in self.outputs.items()
        ]
        return sorted(rows)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.inputs, n=1)
        if near:
            return f"has no parameter '{name}'; did you mean '{near[0]}'?"
        known = ", ".join(self.inputs) or "none"
        return f"has no parameter '{name}' (its parameters: {known})"

    def _wrong(self, what: str, parameter: str = "") -> WrongCallError:
        return WrongCallError(f"task '{self.name}' {what}", task=self.name, parameter=parameter)


NativeInterface: TypeAlias = Interface
"""Flyte's name."""


def _annotated(func: Callable[..., Any]) -> Any:
    """The object that carries the annotations: for callable objects their `__call__`."""
    inner = inspect.unwrap(func)
    while hasattr(inner, "func") and not inspect.isroutine(inner):
        inner = inner.func
    return inner if inspect.isroutine(inner) or isinstance(inner, type) else type(inner).__call__


def _names_of_kind(parameters: Mapping[str, inspect.Parameter], kind: Any) -> frozenset[str]:
    return frozenset(name for name, each in parameters.items() if each.kind is kind)


def _inputs(
    parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], label: str
) -> dict[str, tuple[Any, Any]]:
    inputs: dict[str, tuple[Any, Any]] = {}
    for name, parameter in parameters.items():
        if parameter.kind in _VARIADIC:
            raise ValueError(
                f"task '{label}' takes '{parameter}', but a task's parameters must be named; "
                f"take a list or a dict instead"
            )
        if name not in hints:
            logger.warning(
                "Parameter %r of task %r has no annotation: its values are pickled.", name, label
            )
        inputs[name] = (_input_type(hints.get(name, Any), parameter.default), parameter.default)
    return inputs


def _input_type(annotation: Any, default: Any) -> Any:
    """The annotation; `x: int = None` means `int | None`, as its author does."""
    if default is None and not accepts_none(annotation):
        return annotation | None
    return annotation
