"""The in-process engine, put together: one run, its host, its executor, its loop.

The counterpart on Ray is `runtime/wiring.py`; `client/engines.py` chooses between them.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from flyte_ray._syncify import LoopThread
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Settled
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import Blobs, CacheIndex, Codecs, Executor
from flyte_ray.core.progress import Progress
from flyte_ray.engine.action import Action
from flyte_ray.engine.attempt import Tools
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.collecting import begin_patience, end_patience
from flyte_ray.engine.controller import ActionController, Surroundings
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.loading import Loader
from flyte_ray.engine.local import LocalExecutor, here
from flyte_ray.engine.local_copies import LocalCopies
from flyte_ray.engine.naming import owner_name
from flyte_ray.engine.timers import Timers
from flyte_ray.store.values import RunValues


class LocalEngine:
    """Runs whole runs in this process."""

    def __init__(self, *, blobs: Blobs, cache: CacheIndex, codecs: Codecs) -> None:
        self._blobs = blobs
        self._cache = cache
        self._codecs = codecs

    def check(self, options: TaskOptions) -> str | None:
        """Requests are not held in this process, so every one can be satisfied."""
        return None

    def start(self, root: Action) -> LocalLink:
        """Begin a run; returns as soon as it exists.

        Raises:
            RunExistsError: the name is taken in this store.
            StoreUnwritableError: nothing can be recorded there.
        """
        clock = SystemClock()
        desk = HostDesk(
            DeskTools(blobs=self._blobs, cache=self._cache, clock=clock, owner=owner_name())
        )
        run = root.spec.run
        copies = LocalCopies()
        values = RunValues(self._blobs, run.name, raw_data_path=run.raw_data_path, copies=copies)
        tools = Tools(codecs=self._codecs, values=values, blobs=self._blobs, place=here())

        def controller_for(spec: AttemptSpec) -> ActionController:
            return ActionController(spec, surroundings)

        bodies = LocalExecutor(
            tools=tools,
            book=desk,
            controllers=controller_for,
            load=Loader(self._blobs).task,
        )
        executor = Timers(bodies, tools=tools, book=desk, clock=clock)
        surroundings = Surroundings(
            driver=Driver(executor=executor, book=desk, clock=clock),
            book=desk,
            codecs=self._codecs,
            values=values,
            blobs=self._blobs,
        )
        desk.open(run)
        return LocalLink(desk, root, executor, copies)

    def attach(self, run: str) -> LocalLink | None:
        """Runs of this engine end with the call that started them: there is none to attach to."""
        return None


class LocalLink:
    """The `RunLink` of a run in this process. Its root runs on a loop thread of its own."""

    def __init__(
        self, desk: HostDesk, root: Action, executor: Executor, copies: LocalCopies
    ) -> None:
        self._host = desk.host(root.spec.run.name)
        begin_patience()
        self._loop = LoopThread()
        self._loop.__enter__()
        self._end: Future[Settled] = self._loop.submit(_driven(desk, root, executor, copies))
        self._end.add_done_callback(lambda _: self._ended())

    def _ended(self) -> None:
        end_patience()
        # Not from the loop's own thread: closing joins it.
        threading.Thread(target=self._loop.__exit__, args=(None, None, None), daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the run has ended, or the time is over."""
        try:
            self._end.exception(timeout_s)
        except FutureTimeout:
            return False
        return True

    def settled(self) -> Settled | None:
        """How the root ended; None while it runs."""
        if not self._end.done():
            return None
        return self._end.result()

    def progress(self) -> Progress | None:
        """A look at the run."""
        return self._host.progress()

    def abort(self, reason: str) -> None:
        """Ask for the end of the run."""
        self._host.abort(reason)


async def _driven(desk: HostDesk, root: Action, executor: Executor, copies: LocalCopies) -> Settled:
    try:
        return await desk.drive(root, executor)
    finally:
        copies.drop_all()  # before anybody hears of the end: a notebook starts the next run at once
