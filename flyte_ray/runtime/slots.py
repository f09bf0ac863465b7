"""The slots of a replica: held by bodies that run, lent to others while a body waits for children.

Without lending, a task that calls itself in a pool of one replica with one slot would wait for
itself. A body that goes on takes a slot again, ahead of calls that have not begun. Calls of one
caller do not crowd out another's: fresh ones take turns by caller.

Thread-safe: sync bodies and their children's answers live on other threads than the replica's loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import Executor

Start: TypeAlias = Callable[[], None]
AttemptKey: TypeAlias = tuple[str, str]
"""Run and action: a replica has at most one attempt of an action at a time."""


class Slots:
    """So many bodies at once."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._returning: deque[Future[None]] = deque()
        self._fresh: OrderedDict[object, deque[Start]] = OrderedDict()

    def begin(self, caller: object, start: Start) -> None:
        """Have `start` called, with a slot taken for it, when it is this caller's turn."""
        with self._lock:
            self._fresh.setdefault(caller, deque()).append(start)
        self._pass_on()

    def withdraw(self, caller: object) -> None:
        """Forget what this caller has not begun."""
        with self._lock:
            self._fresh.pop(caller, None)

    def release(self) -> None:
        """Give a slot to whoever is next."""
        with self._lock:
            self._free += 1
        self._pass_on()

    def take_again(self) -> Future[None]:
        """A slot for a body that goes on; the future ends when it has it."""
        turn: Future[None] = Future()
        with self._lock:
            self._returning.append(turn)
        self._pass_on()
        return turn

    def _pass_on(self) -> None:
        while (start := self._next()) is not None:
            start()

    def _next(self) -> Start | None:
        with self._lock:
            if self._free <= 0:
                return None
            while self._returning:
                turn = self._returning.popleft()
                if turn.set_running_or_notify_cancel():
                    self._free -= 1
                    return lambda: turn.set_result(None)
            while self._fresh:
                caller, waiting = self._fresh.popitem(last=False)
                if waiting:
                    start = waiting.popleft()
                    self._fresh[caller] = waiting  # to the end of the line
                    self._free -= 1
                    return start
            return None


class Tenancy(AbstractAsyncContextManager[None]):
    """The slot of one attempt. Inside the context its body waits for a child."""

    def __init__(self, slots: Slots, lends: Callable[[], None]) -> None:
        """Hold a slot; `lends` is called when it is given up for the first time."""
        self._slots = slots
        self._lends = lends
        self._has_told = False
        self._lock = threading.Lock()
        self._children = 0
        self._has_slot = True

    async def __aenter__(self) -> None:
        with self._lock:
            self._children += 1
            gives, tells = self._has_slot, not self._has_told
            self._has_slot, self._has_told = False, True
        if tells:
            self._lends()
        if gives:
            self._slots.release()

    async def __aexit__(self, *_: object) -> None:
        with self._lock:
            self._children -= 1
            if self._children:
                return
        turn = self._slots.take_again()
        try:
            await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            if turn.cancelled():
                raise  # it goes on without one, to its end
            self._took()
            raise
        self._took()

    def _took(self) -> None:
        with self._lock:
            # Spare is a second one, of two children that ended before it had the first; and any
            # while another child is underway, which may be what waits for this very slot.
            spare = self._has_slot or self._children > 0
            if not spare:
                self._has_slot = True
        if spare:
            self._slots.release()

    def end(self) -> None:
        """The attempt has ended."""
        with self._lock:
            had, self._has_slot = self._has_slot, False
        if had:
            self._slots.release()


class Lending:
    """An `Executor` that takes a parent's slot away while it waits for the child."""

    def __init__(self, executor: Executor, tenancies: dict[AttemptKey, Tenancy]) -> None:
        self._executor = executor
        self._tenancies = tenancies

    def check(self, options: TaskOptions) -> str | None:
        """See `core.ports.Executor.check`."""
        return self._executor.check(options)

    async def execute(self, spec: AttemptSpec, task: Callee | None) -> Outcome:
        """See `core.ports.Executor.execute`."""
        tenancy = self._tenancies.get((spec.run.name, spec.parent_id or ""))
        if tenancy is None:
            return await self._executor.execute(spec, task)
        async with tenancy:
            return await self._executor.execute(spec, task)
