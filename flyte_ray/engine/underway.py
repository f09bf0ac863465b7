"""The calls of one parent that are still underway, so that none outlives its parent."""

from __future__ import annotations

import asyncio
import threading


class Underway:
    """Remembers asyncio tasks, on whatever loops they run, from call to answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    def begin(self) -> asyncio.Task[object]:
        """The current asyncio task, which is underway from now on; `end` it."""
        task = asyncio.current_task()
        assert task is not None, "calls are awaited inside asyncio tasks"
        with self._lock:
            self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """It has its answer."""
        with self._lock:
            self._tasks.discard(task)

    @property
    def any(self) -> bool:
        """True while something is underway."""
        return bool(self._tasks)

    async def cancel_all(self) -> None:
        """Cancel what is left, and wait for what runs on this loop."""
        with self._lock:
            left = list(self._tasks)
        here, mine = asyncio.get_running_loop(), []
        for task in left:
            loop = task.get_loop()
            if loop is here:
                task.cancel()
                mine.append(task)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        if mine:
            await asyncio.wait(mine)
