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

MOST_HELD = 8_192
MOST_ELEMENTS = 256
LONGEST_TEXT = 64
_SHARED = range(-5, 257)
"""Ints that exist once in a process of CPython."""


class Passing:
    """The scalars that this process has decoded lately. Thread-safe: single steps on dicts."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        # The object itself is the value: as long as it is held, nothing else can get its id.
        self._held: dict[int, Any] = {}

    def remember(self, value: Any) -> None:
        """A value that was just decoded: a scalar, or a container of few scalars."""
        kind = type(value)
        if kind is float or kind is int or kind is str:
            if kind is not str or len(value) <= LONGEST_TEXT:
                self._held[id(value)] = value
        elif kind is list or kind is tuple or kind is dict:
            if not 0 < len(value) <= MOST_ELEMENTS:
                return
            parts = value.values() if kind is dict else value
            self._held.update(zip(map(id, parts), parts, strict=True))
        else:
            return
        while len(self._held) > MOST_HELD:
            self._held.pop(next(iter(self._held), 0), None)

    def has_seen(self, value: Any) -> bool:
        """True if this very object, or a scalar inside this container, was decoded here."""
        held = self._held
        if not held:
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
            return value not in _SHARED and self._held.get(id(value)) is value
        if kind is float:
            return self._held.get(id(value)) is value
        return kind is str and len(value) > 1 and self._held.get(id(value)) is value
