"""How the inputs of a task differ from those that an earlier run had: by name, never by value."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChanges:
    """Inputs that the earlier run had and the task has not, and the other way round."""

    gone: tuple[str, ...]
    new: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.gone or self.new)

    def __str__(self) -> str:
        """`xs, k gone, ys new`: a renamed input is one of each."""
        parts = ((self.gone, "gone"), (self.new, "new"))
        return ", ".join(f"{', '.join(names)} {what}" for names, what in parts if names)


def input_changes(then: Collection[str], now: Collection[str]) -> InputChanges:
    """What became of the names, in the order of each side."""
    return InputChanges(gone=_without(then, now), new=_without(now, then))


def _without(names: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)
