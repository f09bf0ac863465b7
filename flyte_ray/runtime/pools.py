"""The caller's side of pools: which pool a task belongs to, and its replicas as runners.

A pool is told apart by what its processes have in common: environment, code, packages, variables,
resources, policy and store; and by the run, where the policy says so. Its name is
`pool-<environment>-<digest of the wishes>-<digest of the code>`, so that changed code gets a new
pool which knows the old one's name.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

import ray
from ray import exceptions as rx

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.runtime import addresses
from flyte_ray.runtime.dispatch import UNREACHABLE, Dispatch
from flyte_ray.runtime.hiring import watch
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.options import CODE_VARIABLE, Nodes
from flyte_ray.runtime.pool_actor import (
    PREFIX,
    PoolOrder,
    PoolState,
    RemotePool,
    ReplicaOrder,
    Roster,
)
from flyte_ray.runtime.reception import reception
from flyte_ray.runtime.runner_link import Lost, Runner, WorkItem
from flyte_ray.runtime.scaling import Demand
from flyte_ray.runtime.store_order import store_of
from flyte_ray.runtime.waiting import lend_for, lend_no_more

ASK_AGAIN_S = 0.1
"""While calls wait for a slot."""
STILL_THERE_S = 1.0
"""While calls are with replicas."""


def pool_order(spec: AttemptSpec, means: Means, options: Mapping[str, Any]) -> PoolOrder:
    """The pool of an attempt's environment; `options` are those of a Ray task for the attempt."""
    run, policy = spec.run, spec.options.reusable
    assert policy is not None, "only tasks of reusable environments have a pool"
    options = _replica_options(options)
    environment = spec.task.rpartition(".")[0] or spec.task
    wishes = json.dumps(
        {
            "options": {**options, "runtime_env": _less_code(options)},
            "policy": repr(policy),
            "store": repr(store_of(run)),
            "run": run.name if policy.scope == "run" else None,
        },
        sort_keys=True,
        default=repr,
    )
    host: str = run.options["host"]
    name = f"{PREFIX}{environment}-{_short(wishes)}-{_short(run.code.digest)}"
    return PoolOrder(
        name=name,
        namespace=addresses.parted(host)[0],
        environment=environment,
        replica=ReplicaOrder(pool=name, store=store_of(run), host=host, policy=policy, means=means),
        options=options,
    )


def _replica_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """For a replica: its CPUs are not held.

    One that held CPUs while its tasks wait for tasks of plain environments could keep those from
    ever starting.
    """
    held = ("num_gpus", "memory", "resources", "accelerator_type")
    kept = {key: options[key] for key in held if key in options}
    environment = dict(options["runtime_env"])
    # Ray sets this to the CPUs that are held, and one where there are none: a numeric library
    # would compute with one thread, whatever the environment asks for.
    threads = {"OMP_NUM_THREADS": str(max(1, int(options["num_cpus"])))}
    environment["env_vars"] = threads | environment.get("env_vars", {})
    return {**kept, "runtime_env": environment, "num_cpus": 0}


def _less_code(options: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a replica without what changes with every state of the code."""
    environment = dict(options.get("runtime_env", {}))
    variables = environment.get("env_vars", {})
    kept = {name: text for name, text in variables.items() if name != CODE_VARIABLE}
    return {**environment, "env_vars": kept}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


class PoolHirer:
    """The `Hirer` of one pool in one process."""

    def __init__(self, order: PoolOrder, nodes: Nodes) -> None:
        self._order = order
        self._pool: Any = None
        self._nodes = nodes
        self._caller = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._members: dict[str, Any] = {}
        self._attended: dict[str, Runner] = {}
        self._dispatch: Dispatch | None = None

    def serve(self, dispatch: Dispatch) -> None:
        """Begin to follow the pool, for this dispatch."""
        self._dispatch = dispatch
        threading.Thread(target=self._follow, daemon=True, name="flyte_ray-pool").start()

    # ---- the Hirer port

    def hire(
        self, runner: Runner, attend: Callable[[Runner], None], tell: Callable[[Any], None]
    ) -> bool:
        """Have a replica that does not serve this process yet come to its door."""
        desk = reception()
        with self._lock:
            spare = [each for each in self._members if each not in self._attended]
            if not spare:
                return False
            name = spare[0]
            handle = self._members[name]
            self._attended[name] = runner
        runner.slots = self._order.replica.policy.concurrency

        def arrived(line: Connection) -> None:
            runner.line = line
            attend(runner)

        def ended(word: Any) -> None:
            desk.forget(number)
            lend_no_more(runner.ref)
            with self._lock:
                self._attended.pop(name, None)
                if word != UNREACHABLE:
                    self._members.pop(name, None)
            tell(word)

        number = desk.expect(arrived)
        door = desk.address(to_other_nodes=len(self._nodes.totals()) > 1)
        runner.ref = handle.serve.remote(door, number)
        lend_for(runner.ref)
        watch(runner.ref, ended)
        return True

    def carry(self, item: WorkItem, tell: Callable[[Any], None]) -> Any:
        """Where a replica cannot get through to this process: one actor call per attempt."""
        with self._lock:
            members = list(self._members.values())
        if not members:
            tell(Lost(rx.ActorUnavailableError("the pool has no replica just now", None)))
            return None
        ref = members[item.number % len(members)].carry.remote((*item.shared, item.data))
        lend_for(ref)

        def ended(word: Any) -> None:
            lend_no_more(ref)
            tell(word)

        watch(ref, ended)
        return ref

    def capacity(self) -> int:
        """Replicas that this process may deal with."""
        with self._lock:
            return len(self._members.keys() | self._attended.keys())

    def kill(self, runner: Runner) -> None:
        """End a replica that does not listen."""
        with self._lock:
            name = next((n for n, each in self._attended.items() if each is runner), None)
            handle = self._members.get(name or "")
        if handle is not None:
            ray.kill(handle)

    def kill_carried(self, ref: Any) -> None:
        """Nothing: an actor call cannot be forced, and the replica watches its bodies itself."""

    def wanted(self) -> None:
        """Ask the pool soon."""
        self._work.set()

    # ---- following the pool, on a thread of its own

    def _follow(self) -> None:
        dispatch = self._dispatch
        assert dispatch is not None
        while True:
            in_hand, waiting, pace_s = dispatch.load()
            if not in_hand and not waiting:
                self._work.clear()
                if dispatch.load()[1] == 0:
                    self._work.wait()
                continue
            demand = Demand(in_hand=in_hand, waiting=waiting, pace_s=pace_s)
            try:
                self._meet(self._asked(demand))
            except rx.RayError as error:
                dispatch.fail(error)
            self._work.clear()
            self._work.wait(ASK_AGAIN_S if waiting else STILL_THERE_S)

    def _asked(self, demand: Demand) -> Roster:
        try:
            if self._pool is None:
                self._pool = pool_actor(self._order)
            known = self.capacity()
            report = self._pool.report.remote(self._caller, demand, known)
            # Not `ray.get`: in a process of an async actor that warns, whatever the thread.
            roster: Roster = report.future().result()
            return roster
        except (rx.ActorDiedError, rx.ActorUnavailableError):
            self._pool = None
            return Roster()  # it ended just now, or restarts: the next time asks a new one

    def _meet(self, roster: Roster) -> None:
        dispatch = self._dispatch
        assert dispatch is not None
        with self._lock:
            gone = self._members.keys() - roster.members.keys() - self._attended.keys()
            for name in gone:
                del self._members[name]
            self._members.update(roster.members)
        if roster.error is not None and not roster.members:
            dispatch.fail(roster.error)
        dispatch.more()


def pool_actor(order: PoolOrder) -> Any:
    """The pool's actor; made if it is not there."""
    return RemotePool.options(
        name=order.name,
        namespace=order.namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=10_000,
    ).remote(order)


_dispatches: dict[str, Dispatch] = {}
_lock = threading.Lock()


def pool_dispatch(order: PoolOrder, nodes: Nodes) -> Dispatch:
    """This process's dealings with a pool; they last as long as both."""
    with _lock:
        known = _dispatches.get(order.name)
        if known is None:
            hirer = PoolHirer(order, nodes)
            known = _dispatches[order.name] = Dispatch(hirer, keeps=True)
            hirer.serve(known)
        return known


def _pool_names() -> list[tuple[str, str]]:
    return [
        (actor["namespace"], actor["name"])
        for actor in ray.util.list_named_actors(all_namespaces=True)
        if actor["name"].startswith(PREFIX) and "/" not in actor["name"]
    ]


def _asked_of(namespace: str, name: str, method: str) -> Any:
    return ray.get(getattr(ray.get_actor(name, namespace=namespace), method).remote())


def pools() -> list[PoolState]:
    """All pools of the cluster (`PoolState`), by name."""
    states: list[PoolState] = []
    for namespace, name in sorted(_pool_names()):
        try:
            states.append(_asked_of(namespace, name, "state"))
        except (ValueError, rx.RayError):
            continue  # it ended just now
    return states


def stop_pool(name: str) -> list[str]:
    """End the pools of this name, or of this environment; returns their names."""
    stopped = []
    for namespace, each in _pool_names():
        environment = each[len(PREFIX) :].rsplit("-", 2)[0]
        if name in (each, environment):
            _asked_of(namespace, each, "stop")
            stopped.append(each)
    return stopped
