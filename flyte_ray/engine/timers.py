"""Tasks that only wait (`core/timer.Sleep`), without a worker: an executor around the other one.

Attempts of such tasks are let pass here, by the clock of whoever drives them; all others go on to
the executor that is wrapped. They are recorded, retried, cached and cancelled like any attempt.

A crash in the middle: whoever drives the action next begins the wait again. In a task that must
wait only for what is left, `durable.sleep` does so.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.model import Outcome, OutcomeKind, utc_now_us
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EMPTY
from flyte_ray.core.ports import BookKeeper, Clock, Executor
from flyte_ray.core.timer import Sleep
from flyte_ray.engine import rows, verdicts
from flyte_ray.engine.attempt import Tools
from flyte_ray.errors import FlyteRayError, WrongCallError


class Timers:
    """The `Executor` port for timers, over one for everything else."""

    def __init__(self, executor: Executor, *, tools: Tools, book: BookKeeper, clock: Clock) -> None:
        self._executor = executor
        self._tools = tools
        self._book = book
        self._clock = clock

    def check(self, options: TaskOptions) -> str | None:
        """A timer asks for nothing, so it can always be carried out."""
        return None if is_timer(options) else self._executor.check(options)

    def execute(self, spec: AttemptSpec, task: Callee | None) -> Coroutine[Any, Any, Outcome]:
        """Let a timer's time pass, or hand the attempt on; see `core.ports.Executor.execute`."""
        return self._wait(spec) if is_timer(spec.options) else self._executor.execute(spec, task)

    async def _wait(self, spec: AttemptSpec) -> Outcome:
        began = utc_now_us()
        self._book.note(spec.run.name, [rows.started(spec, self._tools.place)])
        try:
            pause = self._pause(spec)
        except FlyteRayError as error:
            return self._ended(began, OutcomeKind.FINAL_ERROR, error=from_exception(error))
        limit = spec.options.timeout.max_runtime
        if limit and limit < pause:
            await self._clock.sleep(limit.total_seconds())
            return self._ended(began, OutcomeKind.TIMED_OUT, error=verdicts.runtime_error(spec))
        await self._clock.sleep(max(0.0, pause.total_seconds()))
        return self._ended(began, OutcomeKind.SUCCEEDED, outputs=EMPTY)

    def _pause(self, spec: AttemptSpec) -> timedelta:
        types = dict.fromkeys(spec.inputs.values, timedelta)
        values = self._tools.codecs.decode(spec.inputs, types, self._tools.values)
        found = list(values.values())
        if len(found) != 1 or not isinstance(found[0], timedelta):
            raise WrongCallError(
                f"task {spec.task!r} is a timer (plugin_config=Sleep()), so it takes one "
                f"datetime.timedelta, not {found!r}",
                task=spec.task,
            )
        return found[0]

    def _ended(self, began_us: int, kind: OutcomeKind, **what: Any) -> Outcome:
        return Outcome(
            kind=kind,
            started_us=began_us,
            ended_us=utc_now_us(),
            place=self._tools.place,
            **what,
        )


def is_timer(options: TaskOptions) -> bool:
    """True for tasks that only wait."""
    return isinstance(options.plugin_config, Sleep)
