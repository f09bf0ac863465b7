"""At most n at once, for waiters on any number of event loops.

`asyncio.Semaphore` belongs to one loop; the children of one parent may be awaited on several (a
sync `map` inside an async task has a loop of its own). First come, first served.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Waiter:
    """One who waits; all but the turn itself is guarded by the gate's lock."""

    turn: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    was_let_in: bool = False
    has_left: bool = False


class Gate:
    """Lets `limit` in at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()

    @property
    def inside(self) -> int:
        """How many are inside just now."""
        return self._limit - self._free

    def enter_at_once(self) -> bool:
        """Go in if there is room; `leave` afterwards. A coroutine costs more than that."""
        with self._lock:
            if self._free <= 0:
                return False
            self._free -= 1
            return True

    async def enter(self) -> None:
        """Go in when it is one's turn; `leave` afterwards. Cancelled meanwhile: one is not in."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            loop = asyncio.get_running_loop()
            waiter = _Waiter(turn=loop.create_future(), loop=loop)
            self._waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            # Either still in the queue (then it is passed over there), or let in already: another
            # thread may be doing so just now, under the lock.
            with self._lock:
                waiter.has_left = True
                was_let_in = waiter.was_let_in
            if was_let_in:
                self.leave()
            raise

    def leave(self) -> None:
        """Make room for the next one."""
        while True:
            with self._lock:
                waiter = self._next()
                if waiter is None:
                    self._free += 1
                    return
                waiter.was_let_in = True
            if waiter.loop is asyncio.get_running_loop():
                _let_in(waiter.turn)
                return
            try:
                waiter.loop.call_soon_threadsafe(_let_in, waiter.turn)
                return
            except RuntimeError:
                continue  # that loop was closed: nobody waits on it any more

    def _next(self) -> _Waiter | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.has_left:
                return waiter
        return None


def _let_in(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
