"""How a parent waits for its children without holding the CPU that they need.

Ray lends a worker's CPU only while its *main thread* blocks in `ray.get` or `ray.wait`. So the main
thread of a worker does nothing but wait, and the author's body runs beside it. While children are
in flight the main thread blocks on the one that was submitted last (blocking on all would cost a
pass over all of them for each that ends); while there are none it sleeps on a condition, holding
its CPU, as a body that computes should.

Both waits are timed: `ray.cancel` sets a flag that an untimed lock wait never sees.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray

SLICE_S = 0.1


class ChildWait:
    """The children of the attempt that this worker's main thread waits for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[Any, None] = {}
        self._over = False

    def add(self, ref: Any) -> None:
        """A child is in flight. Called from the author's side."""
        with self._changed:
            self._pending[ref] = None
            self._changed.notify()

    def discard(self, ref: Any) -> None:
        """A child has ended."""
        with self._changed:
            self._pending.pop(ref, None)

    def finish(self) -> None:
        """The body has ended."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def block(self, every_slice: Callable[[], None]) -> None:
        """Block the main thread until `finish`; `every_slice` is called ten times a second."""
        while not self._over:
            self.block_briefly()
            every_slice()

    def block_briefly(self) -> None:
        """Block the main thread until something changed, for a tenth of a second at most."""
        with self._changed:
            if not self._over and not self._pending:
                self._changed.wait(SLICE_S)
            if self._over:
                return
            last = next(reversed(self._pending), None)
        if last is not None:
            ready, _ = ray.wait([last], timeout=SLICE_S, fetch_local=False)
            if ready:
                self.discard(last)


_current: ChildWait | None = None


def current_wait() -> ChildWait | None:
    """The wait of this process's main thread; None in drivers and actors, which lend nothing."""
    return _current


def set_current_wait(wait: ChildWait | None) -> None:
    """Called by the worker's door, which runs one attempt at a time."""
    global _current
    _current = wait
