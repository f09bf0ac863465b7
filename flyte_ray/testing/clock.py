"""Time that a test moves: the `Clock` port without waiting.

`sleep` ends when `advance` has passed its time; with `autojump` it ends at once, and the clock has
moved. Wall time and monotonic time move together. Safe on several event loops.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from datetime import UTC, datetime, timedelta

ROUNDS = 20
"""So often `advance` lets the loop run, for those it woke to sleep again or to end."""


class FakeClock:
    """The `Clock` port for tests.

    Example:
        >>> clock = FakeClock(autojump=True)
        >>> asyncio.run(clock.sleep(3600))
        >>> clock.monotonic(), clock.slept
        (3600.0, [3600])
    """

    def __init__(self, *, autojump: bool = False, start: datetime | None = None) -> None:
        self._began = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._autojump = autojump
        self._lock = threading.Lock()
        self._elapsed_s = 0.0
        self._number = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.slept: list[float] = []
        """What was asked of `sleep`, in order."""

    def now(self) -> datetime:
        """Wall time in UTC."""
        return self._began + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed so much time."""
        self.slept.append(seconds)
        if self._autojump:
            self._elapsed_s += max(0.0, seconds)
            await asyncio.sleep(0)
            return
        until: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            entry = (self._elapsed_s + seconds, next(self._number), until)
            heapq.heappush(self._sleepers, entry)
        await until

    @property
    def sleepers(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(not future.cancelled() for _, _, future in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time, waking sleepers in the order in which they are due, and let them run."""
        await self._settle()
        target = self._elapsed_s + seconds
        while (due := self._next_before(target)) is not None:
            at, future = due
            self._elapsed_s = at
            future.get_loop().call_soon_threadsafe(_wake, future)
            await self._settle()
        self._elapsed_s = target
        await self._settle()

    def _next_before(self, target: float) -> tuple[float, asyncio.Future[None]] | None:
        with self._lock:
            if not self._sleepers or self._sleepers[0][0] > target:
                return None
            at, _, future = heapq.heappop(self._sleepers)
            return at, future

    async def _settle(self) -> None:
        for _ in range(ROUNDS):
            await asyncio.sleep(0)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
