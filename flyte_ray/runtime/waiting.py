"""How a parent waits for its children without holding the CPU that they need.

Ray lends a worker's CPU only while its *main thread* blocks in `ray.get` or `ray.wait`. So the main
thread of a worker does nothing but wait, and the author's body runs beside it. While children are
in flight the main thread blocks on the oldest few of them (a wait on a thousand costs a pass over
all for each that ends) and looks at all of them now and then; while there are none it sleeps on a
condition, holding its CPU, as a body that computes should.

What is waited for are the Ray calls that carry out the children (see `dispatch`).

Both waits are timed: `ray.cancel` sets a flag that an untimed lock wait never sees.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import ray

from flyte_ray.runtime.runner_link import Lost

Tell = Callable[[Any], None]
"""Takes the value of a Ray call, or `Lost`."""

SLICE_S = 0.1
STANDING_S = 0.02
"""How late the end of a body may be noticed whose last children ran in a pool."""
WATCHED = 32
LOOK_S = 0.02
"""With more children than are watched: how long a result of the others may lie unseen."""


class ChildWait:
    """The children of the attempt that this worker's main thread waits for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[Any, Tell] = {}
        self._expected = 0
        self._over = False
        self._looked_at = 0.0

    def watch(self, ref: Any, tell: Tell) -> None:
        """Wait for a Ray call as well. `tell` gets its value or `Lost`, in the main thread."""
        with self._changed:
            self._pending[ref] = tell
            self._changed.notify()

    def __enter__(self) -> None:
        """Inside the block somebody waits for a child: the CPU can be lent."""
        with self._changed:
            self._expected += 1
            if self._expected == 1:
                self._changed.notify()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._expected -= 1

    @property
    def has_children(self) -> bool:
        """True while children are in flight, so that this worker's CPU is lent."""
        return bool(self._expected)

    def finish(self) -> None:
        """The body has ended."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def block(self, every_slice: Callable[[], None], first_s: float = SLICE_S) -> None:
        """Block the main thread until `finish`; `every_slice` is called ten times a second.

        Args:
            every_slice: looks after what cannot look after itself while this thread waits.
            first_s: how long the first slice lasts at most.
        """
        slice_s = first_s
        while not self._over:
            self.block_briefly(slice_s)
            if not self._over:
                every_slice()
            slice_s = SLICE_S

    def block_briefly(self, slice_s: float = SLICE_S) -> None:
        """Block the main thread until something changed, for a slice at most."""
        with self._changed:
            refs = list(self._pending) if self._expected else []
            standing = [] if refs or not self._expected else list(_standing)
            if not self._over and not refs and not standing:
                self._changed.wait(slice_s)
            if self._over:
                return
        if refs:
            self._deliver(self._ready(refs, slice_s))
        elif standing:
            # Nothing of these calls is awaited here; they only serve to lend the CPU.
            ray.wait(standing, num_returns=1, timeout=STANDING_S, fetch_local=False)

    def _ready(self, refs: list[Any], slice_s: float) -> list[Any]:
        """Children that have ended. Waits for the oldest few; now and then looks at all."""
        many = len(refs) > WATCHED
        watched = refs[:WATCHED]
        ready, _ = ray.wait(
            watched, num_returns=1, timeout=LOOK_S if many else slice_s, fetch_local=False
        )
        now = time.monotonic()
        if many and now - self._looked_at > LOOK_S:
            self._looked_at = now
            watched = refs
        elif not ready:
            return []
        ready, _ = ray.wait(watched, num_returns=len(watched), timeout=0, fetch_local=False)
        return list(ready)

    def _deliver(self, refs: list[Any]) -> None:
        if not refs:
            return
        try:
            values = ray.get(refs)
        except Exception:  # noqa: BLE001  one of them failed: each tells for itself
            values = [_value_or_error(ref) for ref in refs]
        with self._changed:
            tells = [self._pending.pop(ref, None) for ref in refs]
        for tell, value in zip(tells, values, strict=True):
            if tell is not None:
                tell(value)


def _value_or_error(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except Exception as error:  # noqa: BLE001  handed to the executor, which knows Ray's errors
        return Lost(error)


_standing: dict[Any, None] = {}


def lend_for(ref: Any) -> None:
    """This Ray call goes on while a pool's replica deals with this process."""
    _standing[ref] = None


def lend_no_more(ref: Any) -> None:
    """It has ended."""
    _standing.pop(ref, None)


_current: ChildWait | None = None


def current_wait() -> ChildWait | None:
    """The wait of this process's main thread; None in drivers and actors, which lend nothing."""
    return _current


def set_current_wait(wait: ChildWait | None) -> None:
    """Called by the worker's door, which runs one attempt at a time."""
    global _current
    _current = wait
