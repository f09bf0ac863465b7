"""How a parent waits for its children without holding the CPU that they need.

Ray lends a worker's CPU only while its *main thread* blocks in `ray.get` or `ray.wait`. So the main
thread of a worker does nothing but wait, and the author's body runs beside it. While children are
in flight the main thread blocks on the oldest few of them (a wait on a thousand costs a pass over
all for each that ends) and looks at all of them now and then; while there are none it sleeps on a
condition, holding its CPU, as a body that computes should.

The results are fetched here too, several at a time, and handed to the author's side: Ray's own
callbacks run Python on its network thread, once per child.

Both waits are timed: `ray.cancel` sets a flag that an untimed lock wait never sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import ray

SLICE_S = 0.1
WATCHED = 32
LOOK_S = 0.02
"""With more children than are watched: how long a result of the others may lie unseen."""


class ChildWait:
    """The children of the attempt that this worker's main thread waits for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[Any, asyncio.Future[Any]] = {}
        self._over = False
        self._looked_at = 0.0

    def result_of(self, ref: Any) -> asyncio.Future[Any]:
        """What a child in flight comes to. Called on a loop of the author's side."""
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._pending[ref] = result
            self._changed.notify()
        return result

    def discard(self, ref: Any) -> None:
        """Nobody asks for this child any more."""
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
            refs = list(self._pending)
        if refs:
            self._deliver(self._ready(refs))

    def _ready(self, refs: list[Any]) -> list[Any]:
        """Children that have ended. Waits for the oldest few; now and then looks at all."""
        many = len(refs) > WATCHED
        watched = refs[:WATCHED]
        ready, _ = ray.wait(
            watched, num_returns=1, timeout=LOOK_S if many else SLICE_S, fetch_local=False
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
            results = [self._pending.pop(ref, None) for ref in refs]
        by_loop: dict[asyncio.AbstractEventLoop, list[Landed]] = {}
        for result, value in zip(results, values, strict=True):
            if result is not None:
                by_loop.setdefault(result.get_loop(), []).append((result, value))
        for loop, landed in by_loop.items():
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, landed)


Landed = tuple["asyncio.Future[Any]", Any]


def _settle(landed: list[Landed]) -> None:
    """On the loop of the futures: hand over what came in together."""
    for result, value in landed:
        if result.done():
            continue  # cancelled
        if isinstance(value, _Failed):
            result.set_exception(value.error)
        else:
            result.set_result(value)


class _Failed:
    """An error in the place of a value."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _value_or_error(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except Exception as error:  # noqa: BLE001  handed to the executor, which knows Ray's errors
        return _Failed(error)


_current: ChildWait | None = None


def current_wait() -> ChildWait | None:
    """The wait of this process's main thread; None in drivers and actors, which lend nothing."""
    return _current


def set_current_wait(wait: ChildWait | None) -> None:
    """Called by the worker's door, which runs one attempt at a time."""
    global _current
    _current = wait
