"""The code of the author's that a value does not hold but names: its classes, functions, tasks.

An object is stored by what it holds. What it does stands in its class, which the record only
names; a pickle names functions, too. An annotation that names the class leads there from the task's
own code. Where none does, this room says what the name stands for, in this process, now.

Classes of Python, of installed packages and of this one do not count, nor do their functions. What
was found out is kept until the next run (`author/live_code`).
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from flyte_ray.core.components import is_task, label_of, spelled
from flyte_ray.core.digest import Digest
from flyte_ray.core.origins import origin_of_code
from flyte_ray.core.reach import reached

Named: TypeAlias = tuple[str, Digest]
"""`module.name`, for people, and the digest of the code that it reaches."""

MOST_REMEMBERED = 4_096
_COUNTING = frozenset({"author", "missing"})
"""Missing: a module that was sent by value, and is not here."""


class _Entry(NamedTuple):
    named: Named
    state: list[Any]
    """Of a live class, all that its bases and it consist of; empty for all else."""


_known: weakref.WeakKeyDictionary[Any, _Entry] = weakref.WeakKeyDictionary()
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
    if origin_of_code(thing).kind not in _COUNTING:
        _others[id(thing)] = thing
        return None
    try:
        found = _known.get(thing)
        if found is None or not _is_state(thing, found.state):
            found = _known[thing] = _found(thing)
    except TypeError:  # a class whose metaclass has no hash
        return _found(thing).named
    return found.named


def _found(thing: Any) -> _Entry:
    reach = reached(thing)
    if not isinstance(thing, type):
        return _Entry((label_of(thing), reach.digest), [])
    label = f"{spelled(thing.__module__)}.{thing.__qualname__}"
    return _Entry((label, reach.digest), _state_of(thing) if reach.is_live else [])


def _state_of(cls: type) -> list[Any]:
    return [value for each in cls.__mro__[:-1] for value in list(vars(each).values())]


def _is_state(cls: Any, state: list[Any]) -> bool:
    """Whether a live class is what it was: one that comes by value again is filled anew."""
    if not state:
        return True
    now = _state_of(cls)
    return len(now) == len(state) and all(map(operator.is_, now, state))
