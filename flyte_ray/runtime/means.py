"""Our remote function and our actor class, as values: what carries attempts out on Ray.

Handed from room to room, and through Ray to actors, because those who ask for processes
(`executor`, `pools`) stand below what runs in them (`worker`, `replica`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Ray handles of the two kinds of process that run attempts."""

    execute: Any
    """The remote function `worker.execute`."""
    replica: Any
    """The actor class `replica.Replica`."""
