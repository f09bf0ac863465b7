"""The calls of one parent that are still underway, so that none outlives its parent."""

from __future__ import annotations

import asyncio
import threading


class Underway:
    """Remembers asyncio tasks, on whatever loops they run, from call to answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[asyncio.Task[object], asyncio.AbstractEventLoop] = {}

    def __enter__(self) -> None:
        """The current asyncio task is underway inside the block."""
        task = asyncio.current_task()
        assert task is not None, "calls are awaited inside asyncio tasks"
        with self._lock:
            self._tasks[task] = asyncio.get_running_loop()

    def __exit__(self, *exc: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            self._tasks.pop(task, None)

    @property
    def any(self) -> bool:
        """True while something is underway."""
        return bool(self._tasks)

    async def cancel_all(self) -> None:
        """Cancel what is left, and wait for what runs on this loop."""
        with self._lock:
            left = dict(self._tasks)
        here, mine = asyncio.get_running_loop(), []
        for task, loop in left.items():
            if loop is here:
                task.cancel()
                mine.append(task)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        if mine:
            await asyncio.wait(mine)
