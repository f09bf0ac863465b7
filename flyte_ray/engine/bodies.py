"""Bodies away from the loop that drives them, each with a way to stop it.

A sync body has a thread of its own. An async one has a loop of its own where the driving loop is
the process's, which author code must not block; that loop may not wait for it either, since what
the body leaves behind may call tasks, and those are driven there.

Never a bounded thread pool: a body that waits for its children would hold a thread that they need.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flyte_ray._syncify import LoopThread
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.ports import Controller
from flyte_ray.engine import output, verdicts
from flyte_ray.engine.attempt import Tools, run_blocking
from flyte_ray.engine.cancellation import carried
from flyte_ray.engine.limits import StopBody, interrupt


class BodyThread:
    """Runs one attempt of a plain `def` task; `outcome` ends with what came of it."""

    def __init__(
        self, spec: AttemptSpec, task: Callee, tools: Tools, controller: Controller
    ) -> None:
        self.outcome: Future[Outcome] = Future()
        self._spec = spec
        self._work = (spec, task, tools, controller)
        self._too_long = False
        self._context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=self._run, daemon=True, name=f"body-{spec.action_id}"
        )

    def start(self) -> None:
        """Begin. The thread is a daemon: a body that cannot be stopped does not keep a process."""
        self._thread.start()

    def stop(self, *, too_long: bool = False) -> None:
        """Ask the body to end; `too_long` makes the outcome a time-out instead of an abort."""
        self._too_long = too_long
        interrupt(self._thread)

    def abandon_as_too_long(self) -> Outcome:
        """The outcome of a body that did not react in time; its thread is left behind."""
        verdict = verdicts.runtime_error(self._spec)
        logs = output.said_so_far(self._context)
        return Outcome(kind=OutcomeKind.TIMED_OUT, error=verdict, logs=logs)

    def _run(self) -> None:
        try:
            outcome = self._context.run(run_blocking, *self._work)
        except StopBody:
            # Hit between the body's end and the outcome's: nothing of it was recorded yet.
            verdict = verdicts.aborted_error(self._spec, "stopped")
            outcome = Outcome(kind=OutcomeKind.CANCELLED, error=verdict)
        except BaseException as error:  # noqa: BLE001  a thread's own border: nobody is above it
            self.outcome.set_exception(error)
            return
        if self._too_long:  # whatever it made of that, as with async bodies
            verdict = verdicts.runtime_error(self._spec)
            outcome = replace(outcome, kind=OutcomeKind.TIMED_OUT, outputs=None, error=verdict)
        self.outcome.set_result(outcome)


class BodyLoop:
    """Runs one attempt of an `async def` task on a loop of its own."""

    def __init__(self, attempt: Coroutine[Any, Any, Outcome]) -> None:
        """Hold the attempt, whose cancellation may carry an outcome; see `cancellation`."""
        self._attempt = attempt
        self._loop = LoopThread()
        self._stop = asyncio.Event()

    async def outcome(self) -> Outcome | None:
        """Run it, until nothing of it is left; cancelling this stops nothing.

        None if it was stopped before it could say anything.
        """
        async with self._loop as loop:
            return await asyncio.wrap_future(loop.submit(self._run()))

    def stop(self) -> None:
        """Ask the body to end; from any thread."""
        with suppress(RuntimeError):  # its loop is closed: it has ended
            self._loop.call_soon(self._stop.set)

    async def _run(self) -> Outcome | None:
        attempt = asyncio.ensure_future(self._attempt)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({attempt, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        attempt.cancel()
        try:
            return await attempt
        except asyncio.CancelledError as error:
            return carried(error)
