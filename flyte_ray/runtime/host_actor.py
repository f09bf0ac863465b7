"""The host on Ray: a detached, named actor that keeps the books of runs and drives their roots.

It holds no CPU and runs no author code. Drivers may die: it goes on. If it dies itself, Ray starts
it again (`max_restarts=-1`), and it resumes the runs that it had open, each from its book: finished
work answers from there, and only what was in flight runs again.

Every method returns errors as values: an exception in an actor is for what Ray does, not for us.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

import ray

from flyte_ray import errors
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import ActionPhase, Settled
from flyte_ray.core.ports import Executor
from flyte_ray.core.progress import Progress
from flyte_ray.engine.action import Action
from flyte_ray.engine.attempt import Tools
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.engine.endings import recorded_end
from flyte_ray.engine.landing import landed
from flyte_ray.engine.naming import owner_name
from flyte_ray.engine.timers import Timers
from flyte_ray.runtime import addresses
from flyte_ray.runtime.clerk import Clerk
from flyte_ray.runtime.executor import RayExecutor
from flyte_ray.runtime.lines import open_door
from flyte_ray.runtime.resumption import Resumptions
from flyte_ray.runtime.shelf import SHARE_OF_OBJECT_MEMORY, UNASKED_S, Shelf
from flyte_ray.runtime.store_order import write_as_wanted
from flyte_ray.runtime.wire import by_value
from flyte_ray.runtime.worker import MEANS
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.run_file import name_taken, read_run
from flyte_ray.store.values import RunValues

logger = logging.getLogger(__name__)

ENDS_KEPT = 1000
"""So many ended runs answer from memory; older ones from the store."""

LONGEST_PAUSE_S = 60.0

End = Settled | errors.FlyteRayError


class Host:
    """The actor class; created through `wiring.ensure_host`."""

    def __init__(self, name: str, store_url: str, fsync: bool) -> None:
        self._name = name
        self._blobs = open_blobs(store_url, fsync=fsync)
        self._clock = SystemClock()
        self._desk = HostDesk(
            DeskTools(
                blobs=self._blobs,
                cache=StoredCache(self._blobs),
                clock=self._clock,
                owner=owner_name(),
            )
        )
        self._clerk = Clerk(self._desk)
        self._shelf = Shelf(_room_for_copies, time.monotonic)
        self._ends: dict[str, asyncio.Future[End]] = {}
        self._resuming: asyncio.Task[None] | None = None
        self._resumptions = Resumptions(
            self._resume, lambda run: addresses.forget_run(self._name, run), self._clock
        )
        # In a later life there may be nobody else to call: the driver is gone, the workers died
        # with the life before.
        ray.get_runtime_context().current_actor.ready.remote()

    async def ready(self) -> str:
        """The host's name, once it answers; open runs of a predecessor are taken over meanwhile."""
        if self._resuming is None:
            self._resuming = asyncio.ensure_future(self._resume_all())
            node = ray.get_runtime_context().get_node_id()
            door = open_door(node, self._clerk.serve)
            if door is not None:
                addresses.remember_door(self._name, door)
        return self._name

    async def start(
        self, root: Action, environment: Mapping[str, Any]
    ) -> errors.FlyteRayError | None:
        """Begin a run, whose tasks get this environment; returns once it exists in the store."""
        await self.ready()
        run = root.spec.run
        write_as_wanted(self._blobs, run)  # this host may have been made for another driver
        # Before the run exists: if this process dies in between, its next life finds the order.
        order = by_value((root, environment))
        is_new = addresses.remember_run(self._name, run.name, order)
        try:
            await asyncio.to_thread(self._desk.open, run)
        except errors.FlyteRayError as error:
            if is_new:
                addresses.forget_run(self._name, run.name)
            return error
        self._drive(root, environment)
        return None

    async def exchange(self, data: bytes) -> bytes:
        """Take rows and questions from a worker; replies when the store has the rows."""
        await self.ready()
        answer: Future[bytes] = Future()
        self._clerk.serve(data, answer.set_result)
        return await landed(answer)

    async def settled(self, run: str, timeout_s: float) -> End | None:
        """How a run ended; None while it runs, or waits to be resumed (after `timeout_s`)."""
        if not await self._is_taken_over(run, timeout_s):
            return None
        end = self._ends.get(run)
        if end is None:
            known = await self._recorded(run)
            if not isinstance(known, errors.StoreError):
                return known
            logger.warning("how run %s ended cannot be read yet: %s", run, known)
            await self._clock.sleep(timeout_s)  # its driver asks again
            return None
        await asyncio.wait({end}, timeout=timeout_s)
        return end.result() if end.done() else None

    async def carries(self, run: str) -> bool:
        """True for a run that goes on here, or ended here not too long ago."""
        return not await self._is_taken_over(run, 0.0) or run in self._ends

    async def progress(self, run: str) -> Progress | None:
        """A look at a run; None when it is unknown here."""
        host = self._desk.find(run)
        if host is not None:
            return host.progress()
        notice = self._resumptions.notice(run)
        if notice is None:
            return None
        return Progress(run=RunName(run), phase=ActionPhase.QUEUED, notice=notice)

    async def abort(self, run: str, reason: str) -> errors.FlyteRayError | None:
        """End a run; one that is still to be resumed, as soon as it is."""
        await self._know_orders()

        def end() -> None:
            host = self._desk.find(run)
            if host is not None:
                host.abort(reason)

        if self._desk.find(run) is None and self._resumptions.notice(run) is None:
            known = await self._recorded(run)
            return known if isinstance(known, errors.FlyteRayError) else None
        self._resumptions.afterwards(run, end)
        return None

    async def hold(self, run: str, key: str, references: list[Any], size_bytes: int) -> bool:
        """Keep references to a fast copy while the run goes on; False if it is not kept."""
        end = self._ends.get(run)
        if end is None or end.done():
            return False
        # For when nothing else is laid down that would push it off.
        asyncio.get_running_loop().call_later(UNASKED_S + 1, self._shelf.drop_unasked)
        return self._shelf.put(run, key, references, size_bytes)

    async def copy_of(self, key: str) -> tuple[list[Any], int] | None:
        """References to a fast copy, and its size."""
        return self._shelf.get(key)

    async def pause(self, seconds: float) -> None:
        """Answer after a while: what a body that waits for the outside lets its worker wait for."""
        await asyncio.sleep(min(seconds, LONGEST_PAUSE_S))

    # ---- inside

    async def _know_orders(self) -> None:
        await self.ready()
        if self._resuming is not None:
            await self._resuming

    async def _is_taken_over(self, run: str, timeout_s: float) -> bool:
        """False for a run that is still to be resumed."""
        await self._know_orders()
        return await self._resumptions.is_over(run, timeout_s)

    async def _recorded(self, run: str) -> End:
        """How a run ended that is not in memory: it ended long ago, or in an earlier life."""
        try:
            end = await asyncio.to_thread(recorded_end, Catalog(self._blobs), RunName(run))
        except errors.FlyteRayError as error:
            return error
        return end or errors.RunNotFoundError(f"run {run} is not hosted here.")

    def _drive(self, root: Action, environment: Mapping[str, Any]) -> None:
        run = root.spec.run.name
        executor = self._executor_for(root.spec.run, environment)
        end: asyncio.Future[End] = asyncio.ensure_future(self._driven(root, executor))
        self._ends[run] = end
        end.add_done_callback(lambda _: self._ended(run))

    def _executor_for(self, run: RunSpec, environment: Mapping[str, Any]) -> Executor:
        bodies = RayExecutor(MEANS, self._blobs, run.code.root, environment)
        tools = Tools(
            codecs=PayloadCodec(), values=RunValues(self._blobs, run.name), blobs=self._blobs
        )
        return Timers(bodies, tools=tools, book=self._desk, clock=self._clock)

    async def _driven(self, root: Action, executor: Executor) -> End:
        try:
            return await self._desk.drive(root, executor)
        except errors.FlyteRayError as error:
            return error
        except Exception as error:
            logger.exception("run %s ended by an error of its host", root.spec.run.name)
            return errors.RuntimeSystemError(
                "HostFailed", f"run {root.spec.run.name}: its host failed: {error!r}"
            )

    def _ended(self, run: str) -> None:
        self._shelf.drop_run(run)
        addresses.forget_run(self._name, run)
        over = [name for name, end in self._ends.items() if end.done()]
        for name in over[: max(0, len(over) - ENDS_KEPT)]:
            del self._ends[name]
            self._desk.forget(name)

    async def _resume_all(self) -> None:
        orders = addresses.remembered_runs(self._name)
        self._resumptions.begin({run: orders[run] for run in orders if run not in self._ends})

    async def _resume(self, run: str, order: bytes) -> None:
        root, environment = cast(tuple[Action, dict[str, Any]], pickle.loads(order))
        write_as_wanted(self._blobs, root.spec.run)
        stored = await asyncio.to_thread(read_run, self._blobs, run)
        if stored.started_us != root.spec.run.started_us:
            raise name_taken(self._blobs, stored.name)  # the order never became a run
        host = await asyncio.to_thread(self._desk.resume, stored.name)
        lives = addresses.next_life(self._name, run, host.progress().totals.done)
        if (reason := lives.why_the_last(run)) is not None:
            host.abort(reason)
        self._drive(root.resumed(host.attempts_of_root()), environment)


def _room_for_copies() -> float:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    total = resources.get("object_store_memory", 0.0)
    return SHARE_OF_OBJECT_MEMORY * total


RemoteHost = ray.remote(Host)
