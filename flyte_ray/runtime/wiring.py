"""The engine on Ray, put together: connect, make sure of a host, hand runs to it, follow them.

The counterpart in this process is `engine/assembly.py`; `client/engines.py` chooses between them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray import exceptions as rx

from flyte_ray import errors
from flyte_ray.core.model import Settled
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.progress import Progress
from flyte_ray.engine.action import Action
from flyte_ray.runtime import addresses, cluster, jobs, pools
from flyte_ray.runtime.host_actor import RemoteHost
from flyte_ray.runtime.options import Nodes, request_of
from flyte_ray.runtime.pool_actor import PoolState

logger = logging.getLogger(__name__)

LOST = (rx.ActorUnavailableError, rx.ActorDiedError)
POLL_S = 5.0
HOST_RETURNS_S = 120.0


class RayEngine:
    """Runs whole runs on the cluster that this process is connected to."""

    def __init__(self, *, store_url: str, fsync: bool, release: str, namespace: str) -> None:
        self.host = addresses.host_name(store_url, release, namespace)
        self._store_url = store_url
        self._fsync = fsync
        self._nodes = Nodes()

    def check(self, options: TaskOptions) -> str | None:
        """Why no node could ever carry out such a task, or None."""
        return self._nodes.why_never(request_of(options.resources))

    def start(self, root: Action) -> RayLink:
        """Begin a run; returns as soon as it exists.

        Raises:
            RunExistsError: the name is taken in this store.
            StoreUnwritableError: the cluster cannot write to the store.
        """
        run = replace(root.spec.run, options={**root.spec.run.options, "host": self.host})
        order = replace(root, spec=replace(root.spec, run=run), task=None)
        ensure_host(self.host, self._store_url, self._fsync)
        try:
            environment = jobs.environment_for_tasks()
            refused = ray.get(addresses.host_handle(self.host).start.remote(order, environment))
        except LOST as error:
            logger.warning("the host died while run %s was begun: %s", run.name, error)
            refused = self._begin_again(order, environment)
        if refused is not None:
            raise refused
        return RayLink(self.host, run.name)

    def _begin_again(
        self, order: Action, environment: Mapping[str, Any]
    ) -> errors.FlyteRayError | None:
        """The host's next life has the run if the one before had opened it."""
        run = order.spec.run.name
        if self.attach(run) is not None:
            return None
        link = RayLink(self.host, run)
        refused: errors.FlyteRayError | None = link.ask("start", order, environment)
        return refused

    def attach(self, run: str) -> RayLink | None:
        """The link to a run that this cluster's host carries; None when it does not."""
        addresses.forget(self.host)
        if not addresses.is_known(self.host):
            return None
        link = RayLink(self.host, run)
        return link if link.ask("carries", run) else None

    def pools(self) -> Sequence[PoolState]:
        """How the cluster's pools stand, whoever made them."""
        return pools.pools()

    def stop_pool(self, name: str) -> Sequence[str]:
        """End pools by name or environment; their names."""
        return pools.stop_pool(name)


class RayLink:
    """The `RunLink` of a run on Ray."""

    def __init__(self, host: str, run: str) -> None:
        self._host = host
        self._run = run
        self._end: Settled | errors.FlyteRayError | None = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the run has ended, or the time is over. Survives a restart of the host."""
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        while self._end is None:
            left_s = POLL_S if give_up_at is None else give_up_at - time.monotonic()
            if left_s <= 0 and timeout_s != 0:
                return False
            self._end = self.ask("settled", self._run, max(0.0, min(left_s, POLL_S)))
            if timeout_s == 0:
                break
        return self._end is not None

    def settled(self) -> Settled | None:
        """How the root ended; None while it runs."""
        self.wait(0)
        if isinstance(self._end, errors.FlyteRayError):
            raise self._end
        return self._end

    def progress(self) -> Progress | None:
        """A look at the run."""
        progress: Progress | None = self.ask("progress", self._run)
        return progress

    def abort(self, reason: str) -> None:
        """Ask for the end of the run.

        Raises:
            RunNotFoundError: it has not ended, and its host does not have it (any more).
        """
        refused: errors.FlyteRayError | None = self.ask("abort", self._run, reason)
        if refused is not None:
            raise refused

    def ask(self, method: str, *args: Any) -> Any:
        """Call a method of the host; one that died is waited for."""
        give_up_at = time.monotonic() + HOST_RETURNS_S
        while True:
            try:
                return ray.get(getattr(addresses.host_handle(self._host), method).remote(*args))
            except (*LOST, ValueError) as error:
                addresses.forget(self._host)
                if time.monotonic() > give_up_at:
                    raise errors.RuntimeSystemError(
                        "HostLost",
                        f"the host of run {self._run} did not come back within "
                        f"{HOST_RETURNS_S:.0f} s. Its record is safe in the store: "
                        f"`flyte-ray rerun {self._run} --recover` goes on from there.",
                    ) from error
                time.sleep(0.2)


def ensure_host(name: str, store_url: str, fsync: bool) -> None:
    """Find the cluster's host for this store, or start it; returns when it answers."""
    is_there = addresses.is_known(name) or jobs.is_bare()
    if not is_there and jobs.made_apart(name, store_url, fsync):
        return
    ray.get(_host(name, store_url, fsync).ready.remote())


def make_host(name: str, store_url: str, fsync: str) -> None:
    """Start the host from a process of its own (see `jobs`); leaves nothing behind if it fails."""
    cluster.connect(None, store_url)
    host = _host(name, store_url, json.loads(fsync))
    try:
        ray.get(host.ready.remote())
    except rx.RayError:
        ray.kill(host)
        raise


def _host(name: str, store_url: str, fsync: bool) -> Any:
    namespace, actor = addresses.parted(name)
    return RemoteHost.options(
        name=actor,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=10_000,
    ).remote(name, store_url, fsync)
