"""Small scalars on their way through a process: handing one on is seen by identity.

A number that two tasks have in common says nothing of where it came from; an object that came out
of a payload and goes into another one does. So the scalars that were decoded here are remembered,
and a value that is one of them is marked in the record (`EncodedValue.passed`). Large values need
no mark: their digest alone tells them apart.

Refused: what Python shares by itself (small ints, texts of one letter, None, bools), and more
than the last few thousand. Cost: about 0.1 µs a scalar; a list is looked at by its two ends first.
"""

from __future__ import annotations

from typing import Any

MOST_HELD = 4_096
MOST_ELEMENTS = 256
LONGEST_TEXT = 64
_SHARED = range(-5, 257)
"""Ints that exist once in a process of CPython."""


class Passing:
    """The scalars that this process has decoded lately. Thread-safe: single steps on dicts."""

    __slots__ = ("_held", "_older")

    def __init__(self) -> None:
        # The object itself is the value: as long as it is held, nothing else can get its id.
        self._held: dict[int, Any] = {}
        # The generation before. Dropping the oldest one by one costs 7 µs: a dict looks for its
        # first entry past all those that were dropped already.
        self._older: dict[int, Any] = {}

    def remember(self, value: Any) -> None:
        """A value that was just decoded: a scalar, or a container of few scalars."""
        kind = type(value)
        if kind is float or kind is int or kind is str:
            if _is_small(value):
                self._held[id(value)] = value
        elif kind is list or kind is tuple or kind is dict:
            if not 0 < len(value) <= MOST_ELEMENTS:
                return
            parts = value.values() if kind is dict else value
            self._held.update({id(part): part for part in parts if _is_small(part)})
        else:
            return
        if len(self._held) > MOST_HELD:
            self._older, self._held = self._held, {}

    def has_seen(self, value: Any) -> bool:
        """True if this very object, or a scalar inside this container, was decoded here."""
        if not self._held and not self._older:
            return False
        kind = type(value)
        if kind is list or kind is tuple:
            return bool(value) and (self._is_held(value[0]) or self._is_held(value[-1]))
        if kind is dict:
            return bool(value) and self._is_held(next(iter(value.values())))
        return self._is_held(value)

    def _is_held(self, value: Any) -> bool:
        kind = type(value)
        if kind is int:
            worth = value not in _SHARED
        elif kind is float:
            worth = True
        else:
            worth = kind is str and len(value) > 1
        if not worth:
            return False
        place = id(value)
        return self._held.get(place) is value or self._older.get(place) is value


def _is_small(value: Any) -> bool:
    """True for what may be held: all else would be kept alive by it."""
    kind = type(value)
    return kind is float or kind is int or (kind is str and len(value) <= LONGEST_TEXT)
