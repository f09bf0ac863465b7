"""A sync body on a thread of its own, with a way to stop it.

Never a bounded thread pool: a body that waits for its children would hold a thread that they need.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future
from dataclasses import replace

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.ports import Controller
from flyte_ray.engine import output, verdicts
from flyte_ray.engine.attempt import Tools, run_blocking
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
        if self._too_long and outcome.kind is OutcomeKind.CANCELLED:
            verdict = verdicts.runtime_error(self._spec)
            outcome = replace(outcome, kind=OutcomeKind.TIMED_OUT, error=verdict)
        self.outcome.set_result(outcome)
