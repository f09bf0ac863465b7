"""Our remote function and our actor class, as values: what carries attempts out on Ray.

Handed from room to room, and through Ray to actors, because those who ask for processes
(`executor`, `pools`) stand below what runs in them (`worker`, `replica`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Ray handles of the kinds of process that run attempts."""

    execute: Any
    """The remote function `worker.execute`."""
    execute_once: Any
    """The same, in a process that ends with it, as one that held a GPU must: a library keeps the
    memory and the device it was given first for as long as its process lives. Ray does so by itself
    only for functions whose decorator asks for a GPU."""
    replica: Any
    """The actor class `replica.Replica`."""
