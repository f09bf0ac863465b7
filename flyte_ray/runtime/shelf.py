"""Where the host keeps references to fast copies of large values, by the value's key.

It holds no value, only references that keep Ray from forgetting them: those asked for last, up to
a share of the cluster's object memory, each for as long as its run lasts and somebody asks for it
now and then. What falls off the shelf is in the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SHARE_OF_OBJECT_MEMORY = 0.3
"""The rest is for what Ray itself, and authors, keep there."""
UNASKED_S = 120.0
"""A copy that nobody asks for that long is let go: it keeps the worker that made it from ending."""


@dataclass(slots=True)
class _Kept:
    run: str
    references: list[Any]
    size_bytes: int
    asked_at: float


class Shelf:
    """References by key, the one asked for last at the end. For one thread."""

    def __init__(self, room_bytes: Callable[[], float], now: Callable[[], float]) -> None:
        self._room_bytes = room_bytes
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, run: str, key: str, references: list[Any], size_bytes: int) -> bool:
        """Keep references; False if there is no room for so much."""
        room = self._room_bytes()
        if size_bytes > room:
            return False
        self._drop(key)
        self._kept[key] = _Kept(run, references, size_bytes, self._now())
        self._size_bytes += size_bytes
        while self._size_bytes > room:
            self._drop(next(iter(self._kept)))
        self.drop_unasked()
        return True

    def get(self, key: str) -> tuple[list[Any], int] | None:
        """References and size."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        kept.asked_at = self._now()
        self._kept.move_to_end(key)
        return kept.references, kept.size_bytes

    def drop_run(self, run: str) -> None:
        """The run has ended."""
        for key in [key for key, kept in self._kept.items() if kept.run == run]:
            self._drop(key)

    def drop_unasked(self) -> None:
        """Let go of what nobody has asked for."""
        since = self._now() - UNASKED_S
        while self._kept and next(iter(self._kept.values())).asked_at < since:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes
