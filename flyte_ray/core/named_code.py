"""The code of the author's that a value does not hold but names: its classes, functions, tasks.

An object is stored by what it holds. What it does stands in its class, which the record only
names; a pickle names functions, too. An annotation that names the class leads there from the task's
own code. Where none does, this room says what the name stands for, in this process, now.

Only what stands at the top level of a module: the same source then says the same thing in every
process. A class of a notebook or of a function is known by its name, as it was (it goes by value,
and what a worker makes of that is not what the driver has). Classes of Python, of installed
packages and of this one do not count, nor do their functions. What was found out is kept until the
next run (`author/live_code`).
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any, TypeAlias

from flyte_ray.core.components import home_of, is_task, label_of, spelled
from flyte_ray.core.digest import Digest
from flyte_ray.core.origins import origin_of_code
from flyte_ray.core.reach import reached

Named: TypeAlias = tuple[str, Digest]
"""`module.name`, for people, and the digest of the code that it reaches."""

MOST_REMEMBERED = 4_096

_known: weakref.WeakKeyDictionary[Any, Named] = weakref.WeakKeyDictionary()
_others: dict[int, Any] = {}
"""What does not count, by id; kept, so that the ids stay theirs."""


def code_named(things: Iterable[Any]) -> tuple[Named, ...]:
    """The author's code among classes, functions and tasks; in order, each once."""
    new = [each for each in things if id(each) not in _others]
    return tuple(sorted({each for each in map(_named, new) if each is not None})) if new else ()


def forget_named_code() -> None:
    """Find out anew what the names stand for: code may have been loaded or executed again."""
    _known.clear()
    _others.clear()


def _named(thing: Any) -> Named | None:
    if is_task(thing):
        return str(thing.name), str(thing.identity)
    if len(_known) + len(_others) >= MOST_REMEMBERED:
        forget_named_code()
    if origin_of_code(thing).kind != "author" or home_of(_at_top_level(thing)) is None:
        _others[id(thing)] = thing
        return None
    try:
        found = _known.get(thing)
        if found is None:
            found = _known[thing] = _found(thing)
    except TypeError:  # a class whose metaclass has no hash
        return _found(thing)
    return found


def _found(thing: Any) -> Named:
    digest = reached(_at_top_level(thing)).digest
    if isinstance(thing, type):
        return f"{spelled(thing.__module__)}.{thing.__qualname__}", digest
    return label_of(thing), digest


def _at_top_level(thing: Any) -> Any:
    """What it stands in: of `Outer.Inner` the class `Outer`."""
    outer, *inner = getattr(thing, "__qualname__", "").split(".")
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    if not inner or "<locals>" in inner or module is None:
        return thing
    return vars(module).get(outer, thing)
