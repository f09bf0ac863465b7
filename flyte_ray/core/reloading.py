"""Modules that were loaded again in this process: whose code is no longer what was read of it.

`importlib.reload`, which `%autoreload` calls too, executes a module's file again in the same
module, under a new spec. What was found out by its old source must then be found out anew. But
others may hold on to what they took from it before (`from helpers import scale`): that is *left
behind*. It still does what the old source said, which is gone; so it is known by what it is in
memory, as code of which there is no source.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from flyte_ray.core.loaded_text import specs_read
from flyte_ray.core.module_source import ModuleSource, sources_of_specs

OWN = frozenset({"__dict__", "__weakref__", "__doc__", "__static_attributes__", "__firstlineno__"})
"""What each class has of its own, whatever its source says."""
_past: dict[int, Any] = {}
"""Specs that were followed by others, by id; kept, so that their ids stay theirs."""
_again: set[str] = set()
"""Names of the modules that were loaded again."""


def were_loaded_again() -> bool:
    """True where modules whose source was read have been loaded again since this was last asked."""
    known = [*sources_of_specs(), *specs_read()]
    found = [spec for spec in known if id(spec) not in _past and _is_past(spec)]
    _past.update((id(spec), spec) for spec in found)
    _again.update(spec.name for spec in found)
    return bool(found)


def _is_past(spec: Any) -> bool:
    module = sys.modules.get(getattr(spec, "name", ""))
    return module is not None and getattr(module, "__spec__", None) is not spec


def left_behind(source: ModuleSource, held_as: str, module: str, name: str) -> list[Any]:
    """What a module holds of another from before that was loaded again; empty where nothing.

    Args:
        source: the module that imported.
        held_as: its own name for what it imported.
        module: the module imported from.
        name: what was imported from it; empty for the module itself.
    """
    holder = _names_of(source.origin.name)
    if not {module, f"{module}.{name}"} & _again or holder.get("__file__") != source.origin.file:
        return []
    there = _names_of(module)
    if held_as not in holder or (name and name not in there):
        return []
    held, current = holder[held_as], there[name] if name else sys.modules.get(module)
    return [held] if _differ(held, current) else []


def is_left_behind(value: Any) -> bool:
    """True for a function or class that a module had before it was loaded again."""
    module = getattr(value, "__module__", None)
    if module not in _again:
        return False
    names = _names_of(module)
    if isinstance(value, FunctionType) and value.__globals__ is not names:
        return False  # of another module object, which has the source that it had
    outer = value.__qualname__.partition(".<locals>")[0]
    current: Any = _Names(names)
    for part in outer.split("."):
        current = inspect.getattr_static(current, part, None)
    if isinstance(value, type):
        return isinstance(current, type) and _differ(value, current)
    return value.__code__ not in _codes_of(_function(current))


class _Names:
    """A module's names as attributes, for one way to look up `Order.total`."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.__dict__ = names


def _names_of(module: str | None) -> dict[str, Any]:
    return getattr(sys.modules.get(module or ""), "__dict__", {})


def _function(value: Any) -> Any:
    """The innermost function of a method, a property, a task or what a decorator made."""
    for inner in ("func", "__func__", "fget"):
        value = getattr(value, inner, value)
    return inspect.unwrap(value) if callable(value) else value


def _codes_of(function: Any) -> Iterator[CodeType]:
    """The function's code, and that of the functions it makes."""
    waiting = [getattr(function, "__code__", None)]
    for code in waiting:  # grows while it is read
        if isinstance(code, CodeType):
            yield code
            waiting += [each for each in code.co_consts if isinstance(each, CodeType)]


def _differ(held: Any, current: Any) -> bool:
    """Whether two values are not the same for code; %autoreload mends old objects in place."""
    if held is current:
        return False
    if type(held) is not type(current):
        return True
    if isinstance(held, type):
        old, new = ({k: v for k, v in vars(c).items() if k not in OWN} for c in (held, current))
        return old.keys() != new.keys() or any(_differ(old[k], new[k]) for k in new)
    ours, theirs = _function(held), _function(current)
    if isinstance(ours, FunctionType) and isinstance(theirs, FunctionType):
        return ours.__code__ != theirs.__code__ or ours.__globals__ is not theirs.__globals__
    return not (isinstance(held, str | int | float | bytes | None) and held == current)
