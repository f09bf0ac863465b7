"""Fast copies of large values within this process: files in memory, mapped privately by each user.

The `FastCopies` port of the in-process engine; on Ray, `runtime/copies` is. It holds what was asked
for last, up to a tenth of the machine's memory, until the run ends or nobody has it any more.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flyte_ray.codec.own_memory import OwnMemory, memory_file
from flyte_ray.core.ports import Part

SHARE_OF_MEMORY = 0.1
MOST_COPIES = 256
"""Each keeps a file descriptor."""


@dataclass(frozen=True, slots=True)
class _Kept:
    descriptor: int
    sizes: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)


class LocalCopies:
    """Copies by key. Thread-safe."""

    def __init__(self, room_bytes: int | None = None) -> None:
        """Begin with none; `room_bytes` instead of a share of the machine's memory."""
        self._room_bytes = _room() if room_bytes is None else room_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._is_over = False
        # A descriptor does not close itself. At exit the process's own end does it.
        weakref.finalize(self, _close_all, self._kept).atexit = False

    def offer(self, key: str, parts: Sequence[Part]) -> Callable[[], None]:
        """Begin to lay a copy down; see `core.ports.FastCopies.offer`."""
        work = threading.Thread(
            target=self._lay_down, args=(key, parts), daemon=True, name="flyte_ray-copy"
        )
        work.start()
        return work.join

    def take(self, key: str) -> Sequence[memoryview] | None:
        """The parts, each time as memory of the caller's own."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            try:
                # Under the lock, so that nobody closes the file.
                whole = OwnMemory.of_file(kept.descriptor, 0, kept.size_bytes)
            except OSError:
                return None
        parts, start = [], 0
        for size in kept.sizes:
            parts.append(whole[start : start + size])
            start += size
        return parts

    def drop_all(self) -> None:
        """The run has ended. What lies in a copy outlives it."""
        with self._lock:
            self._is_over = True
            _close_all(self._kept)

    def _lay_down(self, key: str, parts: Sequence[Part]) -> None:
        sizes = tuple(memoryview(part).nbytes for part in parts)
        if sum(sizes) > self._room_bytes:
            return
        try:
            made = _Kept(memory_file(parts), sizes)
        except OSError:
            return
        with self._lock:
            if self._is_over or key in self._kept:
                os.close(made.descriptor)
                return
            self._kept[key] = made
            while self._held_bytes() > self._room_bytes or len(self._kept) > MOST_COPIES:
                _close_oldest(self._kept)

    def _held_bytes(self) -> int:
        return sum(kept.size_bytes for kept in self._kept.values())


def _close_all(kept: OrderedDict[str, _Kept]) -> None:
    while kept:
        _close_oldest(kept)


def _close_oldest(kept: OrderedDict[str, _Kept]) -> None:
    _, oldest = kept.popitem(last=False)
    os.close(oldest.descriptor)


def _room() -> int:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not told on this platform
        return 0
    return int(SHARE_OF_MEMORY * memory)
