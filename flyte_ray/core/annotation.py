"""Reads type annotations: a stable, readable name for each, whether None fits, what is returned.

Names enter the interface hash, so they are the same in every process: no addresses, union members
sorted, and classes of the task's own module by bare name (that module is `__main__` in a script
and something else under the command line).
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

_UNIONS = (Union, types.UnionType)


def describe_type(annotation: Any, home: str = "") -> str:
    """A readable name such as `dict[str, list[int]]`; metadata of `Annotated` is left out.

    Args:
        annotation: any annotation, resolved.
        home: module whose classes go by their bare name.

    Example:
        >>> describe_type(dict[str, int | None])
        'dict[str, None | int]'
    """
    if annotation is None or annotation is types.NoneType:
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, list | tuple):
        return "[" + ", ".join(describe_type(each, home) for each in annotation) + "]"
    origin = get_origin(annotation)
    if origin is not None:
        return _describe_generic(annotation, origin, home)
    if isinstance(annotation, TypeVar | ParamSpec):
        return annotation.__name__
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, type):
        return _class_name(annotation, home)
    name = getattr(annotation, "__name__", None) or getattr(annotation, "_name", None)
    return str(name or type(annotation).__name__)


def _describe_generic(annotation: Any, origin: Any, home: str) -> str:
    arguments = get_args(annotation)
    if origin is Annotated:
        return describe_type(arguments[0], home)
    if origin is Literal:
        return f"Literal[{', '.join(sorted(map(_literal_text, arguments)))}]"
    parts = [describe_type(each, home) for each in arguments]
    if origin in _UNIONS:
        return " | ".join(sorted(parts))
    return f"{describe_type(origin, home)}[{', '.join(parts)}]"


def _literal_text(value: object) -> str:
    # An enum member's repr changes between Python versions.
    name = getattr(value, "name", None)
    return f"{type(value).__qualname__}.{name}" if isinstance(name, str) else repr(value)


def _class_name(cls: type, home: str) -> str:
    name = cls.__qualname__.replace("<locals>.", "")
    return name if cls.__module__ in ("builtins", "typing", home) else f"{cls.__module__}.{name}"


def accepts_none(annotation: Any) -> bool:
    """True when None is a value of the annotated type."""
    if annotation is None or annotation is types.NoneType or annotation in (Any, object):
        return True
    origin = get_origin(annotation)
    if origin is Annotated:
        return accepts_none(get_args(annotation)[0])
    if origin in _UNIONS:
        return any(accepts_none(each) for each in get_args(annotation))
    return origin is Literal and None in get_args(annotation)


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of `A | B | None` but None; empty for all that is no union."""
    if get_origin(annotation) not in _UNIONS:
        return ()
    return tuple(each for each in get_args(annotation) if each is not types.NoneType)


def is_named_tuple(annotation: Any) -> bool:
    """True for classes made by `NamedTuple` or `namedtuple`."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, tuple)
        and hasattr(annotation, "_fields")
    )


def output_types(annotation: Any, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs that a return annotation declares, by name.

    Args:
        annotation: what stands behind the arrow; `None` for "nothing is returned".
        hints: resolved field types, for a NamedTuple.

    Raises:
        TypeError: a tuple of one or of unknown length.

    Example:
        >>> output_types(tuple[int, str], {})
        {'o0': <class 'int'>, 'o1': <class 'str'>}
    """
    if annotation is None or annotation is types.NoneType:
        return {}
    if is_named_tuple(annotation):
        return {name: hints.get(name, Any) for name in annotation._fields}
    members = _tuple_members(annotation)
    if members is None:
        return {"o0": annotation}
    if Ellipsis in members:
        raise TypeError(
            f"{describe_type(annotation)} has no fixed length, so its outputs cannot be named; "
            f"return a list instead"
        )
    if len(members) == 1:
        raise TypeError(
            f"{describe_type(annotation)} is a tuple of one; return the value itself, or a list"
        )
    return {f"o{place}": member for place, member in enumerate(members)}


def _tuple_members(annotation: Any) -> tuple[Any, ...] | None:
    """The member types of `tuple[A, B]` and of the literal `(A, B)`; None for all else."""
    if isinstance(annotation, tuple):
        return annotation or None
    if get_origin(annotation) is tuple:
        return get_args(annotation) or None
    return None
