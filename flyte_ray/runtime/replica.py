"""One warm process of a pool: an actor that carries out attempts for any number of callers.

A caller asks it once to come to its door (`serve`, a call that lasts as long as they deal with each
other, so that either notices the other's death); from then on attempts and outcomes go over that
line, in batches that form by themselves. Async bodies share one loop, sync ones get a thread.

Nothing may escape from a body into Ray: an exception, or an exit, inside an actor's method wedges
the actor. A body that cannot be stopped takes the process with it, after its outcome is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import threading
import time
from collections import OrderedDict
from functools import partial
from typing import Any

import ray

from flyte_ray import errors
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.engine import verdicts
from flyte_ray.engine.announcing import Announcer
from flyte_ray.engine.cancellation import carried
from flyte_ray.runtime import addresses
from flyte_ray.runtime.callers import Caller, UnreachableCaller
from flyte_ray.runtime.dispatch import UNREACHABLE
from flyte_ray.runtime.doors import CANNOT_REACH, DoorAddress
from flyte_ray.runtime.home import (
    ASYNC_LEEWAY_S,
    STOP_GRACE_S,
    furnish,
)
from flyte_ray.runtime.pool_actor import ReplicaOrder
from flyte_ray.runtime.reception import visit
from flyte_ray.runtime.replica_home import Bodies, ReplicaHome
from flyte_ray.runtime.slots import AttemptKey, Slots, Tenancy
from flyte_ray.runtime.wire import AttemptBytes, AttemptUnpacker, pack_outcome

logger = logging.getLogger(__name__)

FORGOTTEN_AFTER_S = 120.0
"""Without a sign of its pool, and without work, for this long and the idle time: it goes."""
LAST_WORDS_S = 0.2


class Replica:
    """What the process does; `RemoteReplica` is how Ray sees it."""

    def __init__(self, order: ReplicaOrder) -> None:
        furnish()
        self._order = order
        self._tenancies: dict[AttemptKey, Tenancy] = {}
        self._home = ReplicaHome(order, self._tenancies)
        self._announcer = Announcer(self._home.channel, self._home.place)
        self._bodies: OrderedDict[str, Bodies] = OrderedDict()
        self._stopped: set[AttemptKey] = set()
        self._loop = self._home.loop
        self._slots = Slots(order.policy.concurrency)
        self._unpacker = AttemptUnpacker()
        self._callers: set[Caller] = set()
        self._busy = 0
        self._idle_since = self._seen_at = time.monotonic()
        self._is_leaving = False
        threading.Thread(target=self._watch, daemon=True, name="flyte_ray-watch").start()

    # ---- what its pool and its callers ask, through Ray

    async def serve(self, address: DoorAddress, number: int) -> Any:
        """Deal with a caller until one of both leaves."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()

        def attend() -> None:
            try:
                word = self._attend(address, number)
            except BaseException as error:
                logger.exception("replica of %s failed", self._order.pool)
                word = error
            loop.call_soon_threadsafe(ended.set_result, word)

        threading.Thread(target=attend, daemon=True, name="flyte_ray-caller").start()
        return await ended

    async def carry(self, attempt: AttemptBytes) -> list[tuple[int, bytes]]:
        """One attempt, for a caller whose door cannot be reached."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[list[tuple[int, bytes]]] = loop.create_future()
        caller = UnreachableCaller(None, {0: attempt[:2]})
        caller.tell = lambda results: loop.call_soon_threadsafe(ended.set_result, results)
        self._loop.call_soon(self._take_in, caller, [(0, 0, attempt[2])])
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            self._loop.call_soon(self._cancel, caller, 0)
            return await ended

    async def look(self) -> tuple[int, float]:
        """Attempts here, and for how many seconds there was none."""
        self._seen_at = time.monotonic()
        return self._busy, 0.0 if self._busy else time.monotonic() - self._idle_since

    async def drain(self) -> None:
        """Take nothing more; returns when all that had begun has ended."""
        self._is_leaving = True
        for caller in list(self._callers):
            caller.say("leaving")
        while self._busy:
            await asyncio.sleep(0.05)

    # ---- one caller, on a thread of its own

    def _attend(self, address: DoorAddress, number: int) -> Any:
        try:
            line = visit(address, number)
        except CANNOT_REACH as error:
            logger.warning("a caller of pool %s cannot be reached: %r", self._order.pool, error)
            return UNREACHABLE
        caller = Caller(line)
        self._callers.add(caller)
        try:
            if self._is_leaving:
                caller.say("leaving")
            while True:
                self._hear(caller, pickle.loads(line.recv_bytes()))
        except (OSError, EOFError):
            self._loop.call_soon(self._forget, caller)
        finally:
            self._callers.discard(caller)
        return []

    def _hear(self, caller: Caller, frame: tuple[Any, ...]) -> None:
        match frame:
            case ("shared", number, shared):
                caller.shared[number] = shared
            case ("run", batch) if self._is_leaving:
                caller.say("back", [number for number, _, _ in batch])
            case ("run", batch):
                self._loop.call_soon(self._take_in, caller, batch)
            case ("cancel", number):
                self._loop.call_soon(self._cancel, caller, number)

    # ---- on the replica's own loop

    def _take_in(self, caller: Caller, batch: list[tuple[int, int, bytes]]) -> None:
        for number, shared, own in batch:
            spec = self._read((*caller.shared[shared], own))
            if isinstance(spec, Outcome):
                caller.say("done", [(number, pack_outcome(spec), 0.0)])
                continue
            self._busy += 1
            caller.waiting.add(number)
            self._slots.begin(caller, partial(self._start, caller, number, spec))

    def _read(self, data: AttemptBytes) -> AttemptSpec | Outcome:
        """The attempt, or what it comes to if it cannot be read."""
        try:
            self._home.lodging(self._unpacker.run(data))  # options may be of the author's classes
            return self._unpacker.unpack(data)
        except BaseException as error:  # noqa: BLE001  the replica's door
            return _failed(error)

    def _start(self, caller: Caller, number: int, spec: AttemptSpec) -> None:
        if self._loop.is_here():
            self._started(caller, number, spec)
        else:  # a slot may become free on any thread
            self._loop.call_soon(self._started, caller, number, spec)

    def _started(self, caller: Caller, number: int, spec: AttemptSpec) -> None:
        if number not in caller.waiting:
            self._slots.release()  # cancelled since, and told
            return
        caller.waiting.discard(number)
        key = (spec.run.name, spec.action_id)
        work = self._carry_out(caller, number, spec, key)
        caller.running[number] = key, asyncio.get_running_loop().create_task(work)

    async def _carry_out(
        self, caller: Caller, number: int, spec: AttemptSpec, key: AttemptKey
    ) -> None:
        began = time.monotonic()
        tenancy = self._tenancies[key] = Tenancy(self._slots, partial(caller.say, "lent", number))
        try:
            outcome = await self._outcome(caller, number, spec)
        finally:
            tenancy.end()
            if self._tenancies.get(key) is tenancy:
                del self._tenancies[key]
            caller.running.pop(number, None)
            self._stopped.discard(key)
            self._one_less()
        if not caller.done:
            asyncio.get_running_loop().call_soon(caller.flush)
        caller.done.append((number, pack_outcome(outcome), time.monotonic() - began))
        if self._home.is_poisoned:
            caller.flush()
            self._leave_soon()

    async def _outcome(self, caller: Caller, number: int, spec: AttemptSpec) -> Outcome:
        guard = self._guarded(caller, number, spec)
        try:
            if spec.options.timeout.max_queued_time:
                await asyncio.to_thread(addresses.say_started, spec)
            return await self._bodies_of(spec).execute(spec, None)
        except asyncio.CancelledError as error:
            known = carried(error)
            return known or Outcome(
                kind=OutcomeKind.CANCELLED, error=verdicts.aborted_error(spec, "stopped")
            )
        except BaseException as error:  # noqa: BLE001  the replica's door
            return _failed(error)
        finally:
            if guard is not None:
                guard.cancel()

    def _bodies_of(self, spec: AttemptSpec) -> Bodies:
        known = self._bodies.get(spec.run.name)
        if known is None:
            while len(self._bodies) >= ReplicaHome.lodgings:
                self._bodies.popitem(last=False)
            lodging = self._home.lodging(spec.run)
            known = Bodies(self._home, lodging, self._announcer, self._stopped)
            self._bodies[spec.run.name] = known
        return known

    def _guarded(self, caller: Caller, number: int, spec: AttemptSpec) -> threading.Timer | None:
        """For a body that blocks the loop, so that its time limit cannot be kept on it."""
        limit = spec.options.timeout.max_runtime
        if not limit:
            return None

        def overrun() -> None:
            outcome = Outcome(kind=OutcomeKind.TIMED_OUT, error=verdicts.runtime_error(spec))
            caller.say("done", [(number, pack_outcome(outcome), limit.total_seconds())])
            os._exit(1)

        patience_s = limit.total_seconds() + ASYNC_LEEWAY_S + 2 * STOP_GRACE_S
        guard = threading.Timer(patience_s, overrun)
        guard.daemon = True
        guard.start()
        return guard

    def _cancel(self, caller: Caller, number: int) -> None:
        running = caller.running.get(number)
        if running is not None:
            self._stop(*running)
        elif number in caller.waiting:
            caller.waiting.discard(number)
            self._one_less()
            caller.say("dropped", number)

    def _forget(self, caller: Caller) -> None:
        """The caller is gone, and what it wanted with it."""
        self._slots.withdraw(caller)
        for _ in caller.waiting:
            self._one_less()
        caller.waiting.clear()
        for key, task in list(caller.running.values()):
            self._stop(key, task)

    def _stop(self, key: AttemptKey, task: asyncio.Task[None]) -> None:
        self._stopped.add(key)
        task.cancel()

    def _one_less(self) -> None:
        self._busy -= 1
        self._idle_since = time.monotonic()

    # ---- how it ends

    def _leave_soon(self) -> None:
        """A body that could not be stopped still runs here: no place for others."""
        self._is_leaving = True
        for caller in list(self._callers):
            caller.say("leaving")
        threading.Timer(LAST_WORDS_S, os._exit, args=(1,)).start()

    def _watch(self) -> None:
        """A replica whose pool is gone for good must not stay for ever."""
        patience_s = FORGOTTEN_AFTER_S + self._order.policy.idle_ttl.total_seconds()
        while True:
            time.sleep(5.0)
            now = time.monotonic()
            if not self._busy and now - max(self._seen_at, self._idle_since) > patience_s:
                os._exit(0)


def _failed(error: BaseException) -> Outcome:
    is_platforms = isinstance(error, errors.StoreError)
    kind = OutcomeKind.PLATFORM_ERROR if is_platforms else OutcomeKind.FINAL_ERROR
    return Outcome(kind=kind, error=from_exception(error))


class ReplicaActor:
    """A replica, as its pool and its callers reach it through Ray.

    Thin: Ray wraps every method of an actor's class for its tracing, private ones too, and calls of
    those cost a sixth of a short attempt.
    """

    def __init__(self, order: ReplicaOrder) -> None:
        self._replica = Replica(order)

    async def serve(self, address: DoorAddress, number: int) -> Any:
        """See `Replica.serve`."""
        return await self._replica.serve(address, number)

    async def carry(self, attempt: AttemptBytes) -> list[tuple[int, bytes]]:
        """See `Replica.carry`."""
        return await self._replica.carry(attempt)

    async def look(self) -> tuple[int, float]:
        """See `Replica.look`."""
        return await self._replica.look()

    async def drain(self) -> None:
        """See `Replica.drain`."""
        await self._replica.drain()


RemoteReplica = ray.remote(ReplicaActor)
