"""What a replica keeps between attempts of many runs, and how their bodies run in it.

As in local mode, attempts share a process; what differs is that each has an asyncio task to itself,
that a parent lends its slot while it waits, and that a body that cannot be stopped costs the
process.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome
from flyte_ray.core.ports import Executor
from flyte_ray.engine.announcing import Announcer
from flyte_ray.engine.attempt import BodyCancelled, run_async
from flyte_ray.engine.cancellation import carrying
from flyte_ray.engine.controller import ActionController
from flyte_ray.engine.local import LocalExecutor, as_stopped
from flyte_ray.runtime.home import Home, Lodging
from flyte_ray.runtime.pool_actor import ReplicaOrder
from flyte_ray.runtime.slots import AttemptKey, Lending, Tenancy


class ReplicaHome(Home):
    """The home of many runs at once; parents lend their slots."""

    lodgings = 256

    def __init__(self, order: ReplicaOrder, tenancies: dict[AttemptKey, Tenancy]) -> None:
        super().__init__(order.store, order.host, order.means)
        self._tenancies = tenancies

    def around(self, executor: Executor) -> Executor:
        return Lending(executor, self._tenancies)


class Bodies(LocalExecutor):
    """The attempts of one run in this process, as in local mode."""

    def __init__(
        self,
        home: ReplicaHome,
        lodging: Lodging,
        announcer: Announcer,
        stopped: Collection[AttemptKey],
    ) -> None:
        self._replica = home
        self._stopped = stopped
        super().__init__(
            tools=lodging.tools,
            book=home.channel,
            controllers=lambda spec: ActionController(spec, lodging.surroundings),
            load=home.loader.task,
            announcer=announcer,
        )

    async def on_this_loop(
        self, spec: AttemptSpec, task: Callee, controller: ActionController
    ) -> Outcome:
        """Run an async body in the asyncio task that this attempt has to itself here."""
        ended: Outcome | BodyCancelled
        try:
            ended = await run_async(spec, task, self.tools, controller)
        except BodyCancelled as cancelled:
            ended = cancelled
        if (spec.run.name, spec.action_id) in self._stopped:
            raise carrying(as_stopped(ended))
        return ended if isinstance(ended, Outcome) else ended.as_failure()  # cancelled by itself

    def variables(self, spec: AttemptSpec) -> Mapping[str, str]:
        """The process was started with them."""
        return {}

    def left_behind(self) -> None:
        """The process must go."""
        self._replica.is_poisoned = True
