"""A pool: the actor that keeps the list of an environment's replicas, and scales it.

Detached, named and without a CPU, so that every run, driver and job of the cluster finds it. It
carries nothing itself: callers ask it once a moment who is there and say what they want, and talk
to the replicas directly. If it dies Ray starts it again, and it finds its replicas by their names.
It ends its replicas, and itself, when nobody has wanted anything for the policy's idle time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import exceptions as rx

from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.scaling import Demand, ReplicaLook, scaled
from flyte_ray.runtime.store_order import StoreOrder

logger = logging.getLogger(__name__)

PREFIX = "pool-"
ROUND_S = 0.25
LOOK_S = 1.0
HEARD_S = 3.0
"""A caller that was not heard of for so long wants nothing any more."""
DRAIN_S = 3600.0
LAST_WORDS_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaOrder:
    """What a replica is made for."""

    pool: str
    store: StoreOrder
    host: str
    policy: ReusePolicy
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOrder:
    """What a pool is made for. Its name says all that its replicas must have in common."""

    name: str
    namespace: str
    environment: str
    replica: ReplicaOrder
    options: Mapping[str, Any]
    """For `ray.remote`, of each replica."""


@dataclass(slots=True, eq=False)
class _Member:
    """One replica, from the order to start it to its end."""

    name: str
    handle: Any
    is_ready: bool = False
    idle_s: float = 0.0
    busy: int = 0
    is_draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A pool, for people."""

    name: str
    environment: str
    replicas: int
    starting: int
    busy: int
    waiting: int
    idle_s: float
    is_replaced: bool
    limits: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who is there, for a caller."""

    members: Mapping[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    """Why no replica can be started."""


class Pool:
    """The actor class; created through `pools.pool_for`."""

    def __init__(self, order: PoolOrder) -> None:
        self._order = order
        self._policy = order.replica.policy
        self._members: dict[str, _Member] = {}
        self._demands: dict[str, tuple[Demand, float]] = {}
        self._started = 0
        self._wanted_at = time.monotonic()
        self._is_replaced = False
        self._is_ending = False
        self._error: BaseException | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def ready(self) -> str:
        """The pool's name, once it cares for its replicas."""
        if self._keeping is None:
            self._adopt()
            self._replace_others()
            self._keeping = asyncio.ensure_future(self._keep())
        return self._order.name

    async def report(self, caller: str, demand: Demand, known: int) -> Roster:
        """Hear what a caller wants; who is there.

        A caller that knows of nobody (or of fewer than there will be) is answered when that has
        changed, or after a second.
        """
        await self.ready()
        now = time.monotonic()
        self._demands[caller] = (demand, now)
        if demand.slots:
            self._wanted_at = now
            self._error = None if known else self._error
        self._scale()
        if known == 0 and not self._there() and self._error is None:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), 1.0)
            except TimeoutError:
                pass
        error, self._error = self._error, None
        return Roster(members=self._there(), error=error)

    async def lost(self, name: str) -> None:
        """A caller noticed that a replica is gone."""
        self._members.pop(name, None)
        self._scale()

    async def replace(self) -> None:
        """A newer pool of the environment has taken over: end soon."""
        self._is_replaced = True

    async def state(self) -> PoolState:
        """How it stands."""
        members = list(self._members.values())
        return PoolState(
            name=self._order.name,
            environment=self._order.environment,
            replicas=sum(member.is_ready for member in members),
            starting=sum(not member.is_ready for member in members),
            busy=sum(member.busy for member in members),
            waiting=sum(demand.waiting for demand in self._heard()),
            idle_s=time.monotonic() - self._wanted_at,
            is_replaced=self._is_replaced,
            limits=(self._policy.min_replicas, self._policy.max_replicas),
        )

    async def stop(self) -> None:
        """End now: running attempts are lost with their replicas, and retried elsewhere."""
        self._end()
        for member in self._members.values():
            ray.kill(member.handle)

    # ---- inside

    def _there(self) -> dict[str, Any]:
        return {
            member.name: member.handle
            for member in self._members.values()
            if member.is_ready and not member.is_draining
        }

    def _heard(self) -> list[Demand]:
        now = time.monotonic()
        self._demands = {
            caller: (demand, at)
            for caller, (demand, at) in self._demands.items()
            if now - at < HEARD_S
        }
        return [demand for demand, _ in self._demands.values()]

    async def _keep(self) -> None:
        looked_at = 0.0
        while True:
            await asyncio.sleep(ROUND_S)
            if time.monotonic() - looked_at > LOOK_S:
                looked_at = time.monotonic()
                await asyncio.gather(*[self._look(each) for each in list(self._members.values())])
            self._scale()

    async def _look(self, member: _Member) -> None:
        if not member.is_ready:
            return
        try:
            member.busy, member.idle_s = await member.handle.look.remote()
        except rx.RayError as error:
            logger.warning("replica %s is gone: %s", member.name, str(error).splitlines()[:1])
            self._members.pop(member.name, None)
        if member.busy:
            self._wanted_at = time.monotonic()

    def _scale(self) -> None:
        if self._is_ending:  # a replica started now would outlive the pool, and keep its GPU
            return
        active = [member for member in self._members.values() if not member.is_draining]
        step = scaled(
            self._policy,
            self._heard(),
            [ReplicaLook(name=member.name, idle_s=member.idle_s) for member in active],
            idle_s=time.monotonic() - self._wanted_at,
            is_replaced=self._is_replaced,
        )
        for _ in range(step.start):
            self._start()
        for name in step.drain:
            self._spawn(self._drain(self._members[name]))
        if step.end:
            self._spawn(self._end_drained())

    def _start(self) -> None:
        self._started += 1
        name = f"{self._order.name}/{self._started}"
        handle = self._order.replica.means.replica.options(
            name=name,
            namespace=self._order.namespace,
            lifetime="detached",
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=10_000,
            **self._order.options,
        ).remote(self._order.replica)
        member = self._members[name] = _Member(name, handle)
        self._spawn(self._welcome(member))

    async def _welcome(self, member: _Member) -> None:
        try:
            await member.handle.look.remote()
            member.is_ready = True
        except rx.RayError as error:
            logger.warning("replica %s could not be started: %s", member.name, error)
            self._members.pop(member.name, None)
            self._error = error
        self._changed.set()

    async def _drain(self, member: _Member) -> None:
        member.is_draining = True
        try:
            await asyncio.wait_for(member.handle.drain.remote(), DRAIN_S)
        except (rx.RayError, TimeoutError) as error:
            logger.info("replica %s ended while it was drained: %r", member.name, error)
        ray.kill(member.handle)
        self._members.pop(member.name, None)

    async def _end_drained(self) -> None:
        while self._members:
            await asyncio.sleep(0.05)
        self._end()

    def _end(self) -> None:
        self._is_ending = True
        # From a thread: an actor that ends itself inside a method of its own may hang. And a little
        # later: whoever asked for it gets an answer.
        me = ray.get_runtime_context().current_actor
        end = threading.Timer(LAST_WORDS_S, ray.kill, args=(me,))
        end.daemon = True
        end.start()

    def _adopt(self) -> None:
        """Replicas that an earlier life of this pool has started."""
        prefix = f"{self._order.name}/"
        for actor in ray.util.list_named_actors(all_namespaces=True):
            name = actor["name"]
            if actor["namespace"] != self._order.namespace or not name.startswith(prefix):
                continue
            self._started = max(self._started, int(name[len(prefix) :]))
            try:
                handle = ray.get_actor(name, namespace=self._order.namespace)
            except ValueError:
                continue  # just gone
            member = self._members[name] = _Member(name, handle)
            self._spawn(self._welcome(member))

    def _replace_others(self) -> None:
        """Pools of the same environment with other code: they end what they have, and go."""
        family = family_of(self._order.name)
        for actor in ray.util.list_named_actors(all_namespaces=True):
            name = actor["name"]
            if actor["namespace"] != self._order.namespace or "/" in name:
                continue
            if name != self._order.name and family_of(name) == family:
                try:
                    ray.get_actor(name, namespace=self._order.namespace).replace.remote()
                except ValueError:
                    continue

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def family_of(name: str) -> str:
    """The part of a pool's name that its successors share: all but the digest of its code."""
    return name.rpartition("-")[0]


RemotePool = ray.remote(Pool)
