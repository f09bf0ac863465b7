"""Forms of records: dataclasses, NamedTuples and TypedDicts.

A record is a JSON object of its fields. A plain dict is accepted for each of them and checked field
by field, defaults filled in. Fields are compiled on first use, so a record may contain itself.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, Required, TypeVar, get_args, get_origin

from flyte_ray.codec.codec import (
    REFUSALS,
    Form,
    Forms,
    Mismatch,
    Node,
    Reader,
    Writer,
    is_namesake,
    type_name,
)
from flyte_ray.codec.containers import pairs_of
from flyte_ray.codec.plain import PAIRS


def hints_of(cls: Any) -> dict[str, Any]:
    """Field name to resolved annotation; what cannot be resolved counts as `Any`."""
    try:
        return typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # A class local to a function: its annotations name things that no module has.
        raw = inspect.get_annotations(cls)
        return {name: Any if isinstance(hint, str) else hint for name, hint in raw.items()}


def _filled_in(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """A hint with the type variables of a generic class replaced."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, Any)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(arguments.get(each, Any) for each in parameters)]


class _Fields:
    """The forms of a record's fields, found on first use."""

    def __init__(self, hints: Mapping[str, Any], forms: Forms) -> None:
        self._hints = hints
        self._forms = forms
        self._compiled: dict[str, Form] | None = None

    @property
    def forms(self) -> dict[str, Form]:
        if self._compiled is None:
            self._compiled = {name: self._forms.form_of(hint) for name, hint in self._hints.items()}
        return self._compiled

    def dump(self, values: Mapping[str, Any], writer: Writer) -> dict[str, Node]:
        """The nodes of the given fields."""
        forms = self.forms
        nodes = {}
        for name, value in values.items():
            try:
                nodes[name] = forms[name].dump(value, writer)
            except REFUSALS as refusal:
                raise refusal.inside(f".{name}") from None
        return nodes

    def load(self, node: Node, reader: Reader) -> dict[str, Any]:
        """The values of the stored fields; fields that the class has lost are dropped."""
        forms = self.forms
        return {
            name: forms[name].load(each, reader) for name, each in pairs_of(node) if name in forms
        }


def check_keys(
    name: str, value: Mapping[str, Any], known: Iterator[str], required: Iterator[str]
) -> None:
    """Refuse a dict that lacks a field or has one too many."""
    have = set(value)
    if missing := [key for key in required if key not in have]:
        raise Mismatch(name, value, why=f"it lacks {', '.join(map(repr, missing))}")
    if extra := have - set(known):
        names = ", ".join(sorted(map(repr, extra)))
        raise Mismatch(name, value, why=f"it has the unknown field {names}")


class DataclassForm:
    """A dataclass, generic ones included."""

    plain = False

    def __init__(self, cls: Any, forms: Forms, arguments: Mapping[Any, Any]) -> None:
        self.cls = cls
        self.name = type_name(cls)
        hints = hints_of(cls)
        self._all = dataclasses.fields(cls)
        self._fields = _Fields(
            {each.name: _filled_in(hints.get(each.name, Any), arguments) for each in self._all},
            forms,
        )
        self._anything = forms.anything
        self._by_init = [each.name for each in self._all if each.init]
        self._required = [
            each.name
            for each in self._all
            if each.init
            and each.default is dataclasses.MISSING
            and each.default_factory is dataclasses.MISSING
        ]
        # An InitVar is not a field: its value is gone, so the constructor cannot be called.
        self._has_init_vars = any(
            isinstance(hint, dataclasses.InitVar) or hint is dataclasses.InitVar
            for hint in inspect.get_annotations(cls).values()
        )

    def dump(self, value: Any, writer: Writer) -> Node:
        kind = type(value)
        if kind is not self.cls:
            if isinstance(value, self.cls):
                return self._anything.dump(value, writer)
            if isinstance(value, dict):
                value = self._build(value, writer)
            elif not is_namesake(kind, self.cls):
                raise Mismatch(self.name, value)
        return self._fields.dump(self._values(value), writer)

    def _values(self, value: Any) -> dict[str, Any]:
        return {each.name: getattr(value, each.name) for each in self._all if _has(value, each)}

    def _build(self, given: dict[str, Any], writer: Writer) -> Any:
        check_keys(self.name, given, iter(self._by_init), iter(self._required))
        coerced = {}
        for name, each in given.items():
            form = self._fields.forms[name]
            try:
                coerced[name] = coerce(form, each, writer)
            except REFUSALS as refusal:
                raise refusal.inside(f".{name}") from None
        try:
            return self.cls(**coerced)
        except (TypeError, ValueError) as error:
            raise Mismatch(self.name, given, why=str(error)) from error

    def load(self, node: Node, reader: Reader) -> Any:
        if type(node) is dict and len(node) == 1 and next(iter(node)) in ("$as", "$value"):
            return self._anything.load(node, reader)
        values = self._fields.load(node, reader)
        if self._has_init_vars:
            made = self.cls.__new__(self.cls)
        else:
            made = self.cls(**{name: values[name] for name in self._by_init if name in values})
            if not hasattr(self.cls, "__post_init__") and len(values) == len(self._by_init):
                return made
        # What `__post_init__` made of the fields is stored already: it must not be made twice.
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return type_name(type(value)) if isinstance(value, self.cls) else self.name


def _has(value: Any, field: Any) -> bool:
    return hasattr(value, field.name)


def coerce(form: Form, value: Any, writer: Writer) -> Any:
    """A part of a dict as its field wants it, or as it is where no coercion is known.

    Records built from dicts are instances before they are laid out, since their constructors may
    fill in defaults and convert.
    """
    if isinstance(form, DataclassForm) and isinstance(value, dict):
        return form._build(value, writer)
    if isinstance(value, bool) or form.name != "float" or not isinstance(value, int):
        return value
    return form.dump(value, writer)


class NamedTupleForm:
    """A NamedTuple; a tuple or list of the same length and a dict are accepted."""

    plain = False

    def __init__(self, cls: Any, forms: Forms) -> None:
        self.cls = cls
        self.name = type_name(cls)
        hints = hints_of(cls)
        self._names: tuple[str, ...] = cls._fields
        self._fields = _Fields({name: hints.get(name, Any) for name in self._names}, forms)

    def dump(self, value: Any, writer: Writer) -> Node:
        if isinstance(value, dict):
            required = [name for name in self._names if name not in self.cls._field_defaults]
            check_keys(self.name, value, iter(self._names), iter(required))
            value = self.cls(**value)
        if not isinstance(value, tuple | list):
            raise Mismatch(self.name, value)
        if len(value) != len(self._names):
            raise Mismatch(self.name, value, why=f"it has {len(value)} elements")
        return self._fields.dump(dict(zip(self._names, value, strict=True)), writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return self.cls(**self._fields.load(node, reader))

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return self.name


class TypedDictForm:
    """A TypedDict: a dict whose keys are told one by one."""

    plain = False

    def __init__(self, cls: Any, forms: Forms) -> None:
        self.name = type_name(cls)
        hints = {name: _without_marker(hint) for name, hint in hints_of(cls).items()}
        # `__required_keys__` is wrong where annotations are strings, so the markers are read too.
        self._required = required_keys(cls)
        self._fields = _Fields(hints, forms)
        self._keys = tuple(hints)

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, dict):
            raise Mismatch(self.name, value)
        check_keys(self.name, value, iter(self._keys), iter(self._required))
        nodes = self._fields.dump(value, writer)
        if not any(key.startswith("$") for key in nodes):
            return nodes
        writer.mark()
        return {PAIRS: [[key, node] for key, node in nodes.items()]}

    def load(self, node: Node, reader: Reader) -> Any:
        return self._fields.load(node, reader)

    def fits(self, value: Any) -> bool:
        return type(value) is dict and set(self._required) <= set(value) <= set(self._keys)

    def tag(self, value: Any) -> str:
        return self.name


def _without_marker(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired):
        hint = get_args(hint)[0]
    return hint


def required_keys(cls: Any) -> list[str]:
    """The keys that a TypedDict must have."""
    required = []
    for name, hint in hints_of(cls).items():
        origin = get_origin(hint)
        if origin is Required or (origin is not NotRequired and name in cls.__required_keys__):
            required.append(name)
    return required


def record_form(type_: Any, forms: Forms) -> Form | None:
    """The form of a record class, or of a generic dataclass with its arguments."""
    origin = get_origin(type_)
    cls = origin if isinstance(origin, type) else type_
    if not isinstance(cls, type) or isinstance(type_, types.GenericAlias):
        return None
    if dataclasses.is_dataclass(cls):
        parameters = getattr(cls, "__parameters__", ())
        return DataclassForm(cls, forms, dict(zip(parameters, get_args(type_), strict=False)))
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleForm(cls, forms)
    return TypedDictForm(cls, forms) if typing.is_typeddict(cls) else None
