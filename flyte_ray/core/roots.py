"""Where the code of a live function or class begins: a task, a traced step, an input.

What stands at the top level of a module is the module's (`core/components`), the same in every
process. All else is read from live objects, once for each state of a notebook.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from flyte_ray.core.components import (
    Component,
    component_of_function,
    component_of_live_class,
    component_of_name,
    component_of_task,
    home_of,
)
from flyte_ray.core.task_decorators import makes_task

_live_roots: weakref.WeakKeyDictionary[Any, Component] = weakref.WeakKeyDictionary()


def component_of_root(func: Callable[..., Any]) -> Component:
    """Where the code of a live function (or class) begins: a task, a traced step, an input."""
    inner: Any = inspect.unwrap(func)
    home = home_of(inner)
    if home is not None:
        source, name = home
        names = getattr(inner, "__globals__", {})
        is_ours = all(makes_task(each, names) for each in source.task_decorators(name))
        found = component_of_task(source, name) if is_ours else component_of_name(source, name)
        if found is not None:
            return found
    if isinstance(inner, type):
        return component_of_live_class(
            inner
        )  # not kept: one that comes by value again is filled anew
    try:
        known = _live_roots.get(inner)
        if known is None:
            known = _live_roots[inner] = component_of_function(inner, is_root=True)
    except TypeError:  # nothing that a dictionary could refer to weakly
        return component_of_function(inner, is_root=True)
    return known


def is_live(root: Component) -> bool:
    """True for what was read from objects of this process, and not from a module's source."""
    return isinstance(root.key, int)


def forget_live_roots() -> None:
    """Read such code anew: a notebook's cell may have been executed again since."""
    _live_roots.clear()
