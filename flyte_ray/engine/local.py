"""The in-process executor: attempts run in this process, side by side.

Async bodies run on the caller's loop, sync bodies on threads of their own.

It starts in no time and needs no cluster, yet records, caches, retries and recovers as Ray does.
What it cannot do: hold a body to its resources, or kill one that sits in a C call. Such a body is
left behind on its daemon thread after a grace period; its result changes nothing any more.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from flyte_ray._syncify import background_loop
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome, OutcomeKind, Place
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import BookKeeper
from flyte_ray.engine.announcing import Announcer
from flyte_ray.engine.attempt import BodyCancelled, Tools, run_async
from flyte_ray.engine.bodies import BodyLoop, BodyThread
from flyte_ray.engine.cancellation import carrying, outlast
from flyte_ray.engine.controller import ActionController
from flyte_ray.engine.environ import applied

STOP_GRACE_S = 5.0
"""How long a stopped body may take for its `finally` blocks."""


def here() -> Place:
    """This process, as the record names it."""
    return Place(node=socket.gethostname(), worker=f"local-{os.getpid()}", pid=os.getpid())


class LocalExecutor:
    """The `Executor` port in this process."""

    def __init__(
        self,
        *,
        tools: Tools,
        book: BookKeeper,
        controllers: Callable[[AttemptSpec], ActionController],
        load: Callable[[AttemptSpec], Callee],
        announcer: Announcer | None = None,
    ) -> None:
        """Make one.

        Args:
            tools: what attempts are handed.
            book: where it is said that they have begun.
            controllers: makes an attempt's controller.
            load: finds the task of an attempt that comes without one.
            announcer: the process's, where executors come and go.
        """
        self.tools = tools
        self._controllers = controllers
        self._load = load
        self._announcer = announcer or Announcer(book, tools.place)

    def check(self, options: TaskOptions) -> str | None:
        """Requests are not held here, so every one can be satisfied."""
        return None

    async def execute(self, spec: AttemptSpec, task: Callee | None) -> Outcome:
        """Run one attempt to its end; see `core.ports.Executor.execute`."""
        callee = task if task is not None else self._load(spec)
        controller = self._controllers(spec)
        variables = self.variables(spec)
        number = self._announcer.begin(spec)
        try:
            if not variables:
                return await self._carried_out(spec, callee, controller)
            with applied(variables):
                return await self._carried_out(spec, callee, controller)
        finally:
            self._announcer.end(number)
            if controller.has_calls_underway:
                await controller.close()

    async def _carried_out(
        self, spec: AttemptSpec, callee: Callee, controller: ActionController
    ) -> Outcome:
        if not callee.is_async:
            return await self._in_thread(spec, callee, controller)
        if asyncio.get_running_loop() is background_loop():
            return await self._on_own_loop(spec, callee, controller)
        return await self.on_this_loop(spec, callee, controller)

    def variables(self, spec: AttemptSpec) -> Mapping[str, str]:
        """Environment variables that hold while the attempt runs."""
        if not spec.options.env_vars and not spec.run.env_vars:
            return {}
        return {**spec.options.env_vars, **spec.run.env_vars}

    def left_behind(self) -> None:
        """A body did not react to being stopped: it still runs on its thread."""

    async def on_this_loop(
        self, spec: AttemptSpec, task: Callee, controller: ActionController
    ) -> Outcome:
        """Run an async body on the running loop."""
        me = asyncio.current_task()
        asked_before = me.cancelling() if me is not None else 0
        # A task of its own keeps context variables, and `current_task().cancel()`, to the body.
        ended = await asyncio.ensure_future(_ended(run_async(spec, task, self.tools, controller)))
        if me is not None and me.cancelling() > asked_before:
            # Whatever the body made of it: a result would undo an abort, an error be tried again.
            raise carrying(as_stopped(ended))
        return ended if isinstance(ended, Outcome) else ended.as_failure()

    async def _on_own_loop(
        self, spec: AttemptSpec, task: Callee, controller: ActionController
    ) -> Outcome:
        body = BodyLoop(self.on_this_loop(spec, task, controller))
        ended = asyncio.ensure_future(body.outcome())
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            body.stop()
            has_ended = await outlast(ended, STOP_GRACE_S)
            if not has_ended:
                self.left_behind()
            raise carrying(ended.result() if has_ended else None) from None
        outcome = ended.result()
        assert outcome is not None, "nobody stopped it"
        return outcome

    async def _in_thread(
        self, spec: AttemptSpec, task: Callee, controller: ActionController
    ) -> Outcome:
        body = BodyThread(spec, task, self.tools, controller)
        body.start()
        ended = asyncio.wrap_future(body.outcome)
        limit = spec.options.timeout.max_runtime
        try:
            done, _ = await asyncio.wait({ended}, timeout=limit.total_seconds() if limit else None)
            if done:
                return ended.result()
            body.stop(too_long=True)
            done, _ = await asyncio.wait({ended}, timeout=STOP_GRACE_S)
            if done:
                return ended.result()
            self.left_behind()
            return body.abandon_as_too_long()
        except asyncio.CancelledError:
            body.stop()
            has_ended = await outlast(ended, STOP_GRACE_S)
            if not has_ended:
                self.left_behind()
            raise carrying(ended.result() if has_ended else None) from None


async def _ended(body: Awaitable[Outcome]) -> Outcome | BodyCancelled:
    try:
        return await body
    except BodyCancelled as cancelled:
        return cancelled


def as_stopped(ended: Outcome | BodyCancelled) -> Outcome:
    """The outcome of a body that was told to stop, whatever it made of that."""
    if isinstance(ended, BodyCancelled):
        return ended.outcome
    return replace(ended, kind=OutcomeKind.CANCELLED, outputs=None)
