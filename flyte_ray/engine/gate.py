"""At most n at once, for waiters on any number of event loops.

`asyncio.Semaphore` belongs to one loop; the children of one parent may be awaited on several (a
sync `map` inside an async task has a loop of its own). First come, first served.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future


class Gate:
    """An async context manager that lets `limit` in at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._lock = threading.Lock()
        self._waiting: deque[Future[None]] = deque()

    @property
    def inside(self) -> int:
        """How many are inside just now."""
        return self._limit - self._free

    async def __aenter__(self) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn: Future[None] = Future()
            self._waiting.append(turn)
        try:
            await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            # Either still in the queue (then `turn` is cancelled and skipped), or let in already:
            # another thread may be doing so just now, under the lock.
            with self._lock:
                was_let_in = turn.done() and not turn.cancelled()
            if was_let_in:
                self._leave()
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._free += 1
