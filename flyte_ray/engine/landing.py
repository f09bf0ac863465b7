"""Waiting on another thread's future without owning it.

Rule: cancelling who waits must not cancel what is being written. `asyncio.wrap_future` alone would
pass the cancellation on to the ledger's future, and a row on its way would lose its addressee.

One acknowledgement of the store ends the waiting of hundreds at once. `wrap_future` would visit
their loop once for each (a system call every time); here those that land together share a visit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def landed(future: Future[T]) -> T:
    """The future's result, awaited on whatever loop runs here; cancellation stays here."""
    if future.done():
        return future.result()
    waiting = _strips.here().expect(future)
    await waiting
    return future.result()


class _Strip:
    """Where the futures that one event loop waits for come down."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._down: deque[asyncio.Future[None]] = deque()
        self._visit_due = False

    def expect(self, future: Future[Any]) -> asyncio.Future[None]:
        """Ends, on the loop, when the future has; it may be cancelled without consequence."""
        waiting = self.loop.create_future()
        future.add_done_callback(lambda _: self._land(waiting))
        return waiting

    def _land(self, waiting: asyncio.Future[None]) -> None:
        """Any thread."""
        with self._lock:
            self._down.append(waiting)
            if self._visit_due:
                return
            self._visit_due = True
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._visit)

    def _visit(self) -> None:
        with self._lock:
            down, self._down = self._down, deque()
            self._visit_due = False
        for waiting in down:
            if not waiting.done():
                waiting.set_result(None)


class OfLoop(Generic[T]):
    """One thing per event loop. A loop stays on its thread, so that it is found there."""

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], T]) -> None:
        self._make = make
        self._thread = threading.local()

    def here(self) -> T:
        """That of the running loop; made when it is first asked for."""
        loop = asyncio.get_running_loop()
        known: tuple[asyncio.AbstractEventLoop, T] | None = getattr(self._thread, "known", None)
        if known is None or known[0] is not loop:
            known = self._thread.known = loop, self._make(loop)
        return known[1]


_strips = OfLoop(_Strip)


def chained(first: Future[T], then: Callable[[T], Future[R]]) -> Future[R]:
    """What `then` comes to, called with the first one's result; an error of either is the end's."""
    end: Future[R] = Future()

    def pass_on(done: Future[R]) -> None:
        error = done.exception()
        if error is not None:
            end.set_exception(error)
        else:
            end.set_result(done.result())

    def go_on(done: Future[T]) -> None:
        error = done.exception()
        if error is not None:
            end.set_exception(error)
        else:
            then(done.result()).add_done_callback(pass_on)

    first.add_done_callback(go_on)
    return end
