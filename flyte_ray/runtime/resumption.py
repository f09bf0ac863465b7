"""A host's later life: each run that the one before had open goes on, whatever the others meet.

The rule: a run is given up only where somebody else has it, or where it never was or is no more.
Anything else, a store that is away or a full disk, may pass: such a run is tried again with growing
pauses, for as long as this host lives, and whoever watches it is told why it stands still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from flyte_ray.core.ports import Clock
from flyte_ray.errors import FencedError, RunExistsError, RunNotFoundError

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""A takeover that waits for its store holds a thread."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

_NOT_OURS = (FencedError, RunNotFoundError, RunExistsError)


@dataclass(slots=True, kw_only=True)
class _Pending:
    """One run that does not go on yet."""

    work: asyncio.Task[None]
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    notice: str = ""


class Resumptions:
    """The runs of a host that are still to be resumed. Lives on the host's event loop."""

    def __init__(
        self,
        resume: Callable[[str, bytes], Awaitable[None]],
        forget: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """`resume` makes a run go on by its order; `forget` leaves it out of further lives."""
        self._resume = resume
        self._forget = forget
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def begin(self, orders: Mapping[str, bytes]) -> None:
        """Resume these runs, by name; returns at once."""
        for run, order in orders.items():
            work = asyncio.ensure_future(self._until_resumed(run, order))
            self._pending[run] = _Pending(work=work)
            work.add_done_callback(partial(self._no_longer_pending, run))

    async def is_over(self, run: str, timeout_s: float) -> bool:
        """True once there is nothing to resume; waits for the first try, and so long after it."""
        pending = self._pending.get(run)
        if pending is None:
            return True
        await pending.tried.wait()
        await asyncio.wait({pending.work}, timeout=timeout_s)
        return pending.work.done()

    def notice(self, run: str) -> str | None:
        """Why the run does not go on yet; None if it is not to be resumed."""
        pending = self._pending.get(run)
        return pending.notice if pending is not None else None

    def afterwards(self, run: str, act: Callable[[], None]) -> None:
        """Do something when the run has been resumed, at once if it need not be."""
        pending = self._pending.get(run)
        if pending is None:
            act()
        else:
            pending.work.add_done_callback(lambda _: act())

    def _no_longer_pending(self, run: str, _: asyncio.Task[None]) -> None:
        del self._pending[run]

    async def _until_resumed(self, run: str, order: bytes) -> None:
        pause_s = FIRST_PAUSE_S
        while not await self._tried(run, order):
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _tried(self, run: str, order: bytes) -> bool:
        """Try once; False if it must be tried again."""
        pending = self._pending[run]
        try:
            async with self._room:
                await self._resume(run, order)
        except _NOT_OURS as error:
            logger.warning("run %s is not resumed here: %s", run, error)
            self._forget(run)
        except Exception as error:  # whatever it is, nobody else would go on with the run
            told = f"cannot be resumed yet: {error}"
            if told != pending.notice:  # once, not every minute until somebody mends it
                logger.warning("run %s %s", run, told, exc_info=error)
            pending.notice = told
            return False
        finally:
            pending.tried.set()
        return True
