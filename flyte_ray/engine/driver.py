"""Carries out what `core/lifecycle` decides for one action, from the call to the acknowledged end.

The driver starts attempts through the executor, waits out backoffs, enforces the deadline, writes
the action's rows through the book keeper, and returns only after the store has the last of them.
It decides nothing: every branch below is a command of the lifecycle.

Crash in the middle: the rows that were acknowledged stand; whoever drives the action next (the
parent's next attempt, or the next host) finds them and goes on from there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, Question
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.lifecycle import (
    ActionState,
    Adopt,
    AttemptEnded,
    BackoffOver,
    Cancelled,
    Command,
    DeadlineReached,
    LifecyclePolicy,
    Settle,
    StartAttempt,
    Stimulus,
    StopAttempt,
    Submitted,
    WaitBackoff,
    advance,
    begin,
)
from flyte_ray.core.model import (
    ActionPhase,
    Event,
    EventKind,
    Outcome,
    OutcomeKind,
    Settled,
    utc_now_us,
)
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import BookKeeper, Clock, Executor
from flyte_ray.core.retry import Backoff
from flyte_ray.engine.landing import landed
from flyte_ray.engine.verdicts import aborted_error, deadline_error

PLATFORM_BACKOFF = Backoff(base=timedelta(milliseconds=200), factor=2.0, cap=timedelta(seconds=30))

_END_KINDS: Mapping[ActionPhase, EventKind] = {
    ActionPhase.SUCCEEDED: EventKind.SUCCEEDED,
    ActionPhase.FAILED: EventKind.FAILED,
    ActionPhase.ABORTED: EventKind.ABORTED,
    ActionPhase.TIMED_OUT: EventKind.TIMED_OUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action to be driven: its first attempt's spec and what is written about it."""

    spec: AttemptSpec
    task: Callee | None
    """The live task object, for executors in this process."""
    identity: str
    question: Question | None = None
    """What to ask the record first; None when there can be no answer."""
    cache_key: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for the action's first row."""

    def resumed(self) -> Action:
        """The same after a crash: whatever it asked for may already stand in the book."""
        spec = replace(self.spec, replay=True)
        question = self.question
        if question is None:
            question = Question(action_id=spec.action_id, task=spec.task)
        return replace(self, spec=spec, question=replace(question, replay=True))


class Driver:
    """Drives any number of actions of one run at once; safe on several event loops."""

    def __init__(self, *, executor: Executor, book: BookKeeper, clock: Clock) -> None:
        self._executor = executor
        self._book = book
        self._clock = clock

    async def drive(self, action: Action) -> Settled:
        """Run the action to its end. Cancelling the awaiting task aborts it, and its row says so.

        Raises:
            FencedError: another owner has taken the run over; nothing more can be recorded.
            StoreError: the store stayed away for longer than the ledger waits.
        """
        return await _Drive(self._executor, self._book, self._clock, action).run()


class _Drive:
    """The driving of one action: the lifecycle's state, and the means to obey it."""

    def __init__(self, executor: Executor, book: BookKeeper, clock: Clock, action: Action) -> None:
        self._executor = executor
        self._book = book
        self._clock = clock
        self._action = action
        spec = action.spec
        self._run = spec.run.name
        self._state: ActionState = begin(
            LifecyclePolicy(strategy=spec.options.retries), PLATFORM_BACKOFF
        )
        self._first_row_due = True
        self._settled: Settled | None = None

    async def run(self) -> Settled:
        deadline = self._action.spec.options.timeout.deadline
        try:
            if not deadline:
                return await self._drive()
            try:
                async with asyncio.timeout(deadline.total_seconds()):
                    return await self._drive()
            except TimeoutError:
                if self._settled is not None:
                    return self._settled
                return await self._obey_to_the_end(DeadlineReached())
        except asyncio.CancelledError:
            # The awaiting task was cancelled: the attempt has stopped (see Executor.execute). The
            # row need not be waited for: if it is lost, the action simply counts as unfinished.
            self._note_abort()
            raise

    async def _drive(self) -> Settled:
        answer = None
        if self._action.question is not None:
            (answer,) = await landed(self._book.look_up(self._run, [self._action.question]))
        return await self._obey_to_the_end(Submitted(answer))

    async def _obey_to_the_end(self, stimulus: Stimulus) -> Settled:
        due: Stimulus | None = stimulus
        while due is not None:
            self._state, commands = advance(self._state, due)
            due = None
            for command in commands:
                due = await self._obey(command)
        assert self._settled is not None, "the lifecycle ended without a Settle or Adopt command"
        return self._settled

    async def _obey(self, command: Command) -> Stimulus | None:
        match command:
            case StartAttempt(attempt=attempt):
                return AttemptEnded(await self._attempt(attempt))
            case WaitBackoff(outcome=outcome, attempt=attempt, delay_s=delay_s):
                await self._record(self._retry_row(outcome, attempt, delay_s))
                await self._clock.sleep(delay_s)
                return BackoffOver()
            case Adopt(answer=answer, phase=phase):
                kind = (
                    EventKind.RECOVERED if phase is ActionPhase.RECOVERED else EventKind.CACHE_HIT
                )
                origin = f"{answer.source_run}/{answer.source_action}"
                if answer.source != "book":
                    attrs = {f"{answer.source}_from": origin, "cached": answer.source == "cache"}
                    row = self._row(kind, phase=phase, outputs=answer.outputs, attrs=attrs)
                    await self._record(row)
                self._settled = Settled(phase=phase, outputs=answer.outputs)
            case Settle(phase=phase, outcome=outcome, reason=reason):
                await self._settle(phase, outcome, reason)
            case StopAttempt():
                pass  # cancelling the awaiting task stopped it: see Executor.execute
        return None

    async def _attempt(self, attempt: int) -> Outcome:
        spec = self._action.spec
        if self._first_row_due:
            self._book.note(self._run, [self._first_row()])
        spec = replace(
            spec,
            attempt=attempt,
            replay=spec.replay or attempt > 1,
            queued_us=utc_now_us(),
        )
        return await self._executor.execute(spec, self._action.task)

    async def _settle(self, phase: ActionPhase, outcome: Outcome | None, reason: str) -> None:
        spec = self._action.spec
        error = outcome.error if outcome is not None else None
        if error is None and phase is ActionPhase.TIMED_OUT:
            error = deadline_error(spec)
        elif error is None and phase is ActionPhase.ABORTED:
            error = aborted_error(spec, reason)
        outputs = outcome.outputs if outcome is not None else None
        attrs = _outcome_attrs(outcome) if outcome is not None else {"reason": reason}
        row = self._row(_END_KINDS[phase], phase=phase, outputs=outputs, error=error, attrs=attrs)
        await self._record(row)
        self._settled = Settled(phase=phase, outputs=outputs, error=error)

    # ---- rows

    async def _record(self, row: Event) -> None:
        rows = [self._first_row(), row] if self._first_row_due else [row]
        await landed(self._book.record(self._run, rows))

    def _first_row(self) -> Event:
        self._first_row_due = False
        action, spec = self._action, self._action.spec
        return Event(
            kind=EventKind.SUBMITTED,
            at_us=utc_now_us(),
            action_id=spec.action_id,
            parent_id=spec.parent_id,
            task=spec.task,
            phase=ActionPhase.QUEUED,
            cache_key=action.cache_key,
            inputs=spec.inputs.to_json(),
            attrs={"identity": action.identity, "scope": spec.scope, **action.attrs},
        )

    def _row(
        self,
        kind: EventKind,
        *,
        phase: ActionPhase,
        outputs: Payload | None = None,
        error: ErrorInfo | None = None,
        attrs: Mapping[str, Any],
    ) -> Event:
        spec = self._action.spec
        return Event(
            kind=kind,
            at_us=utc_now_us(),
            action_id=spec.action_id,
            parent_id=spec.parent_id,
            attempt=self._state.attempt,
            task=spec.task,
            phase=phase,
            cache_key=self._action.cache_key,
            outputs=outputs.to_json() if outputs is not None else None,
            error=json.dumps(error.to_dict()) if error is not None else None,
            attrs=attrs,
        )

    def _retry_row(self, outcome: Outcome, attempt: int, delay_s: float) -> Event:
        attrs = {**_outcome_attrs(outcome), "will_retry": True, "backoff_s": delay_s}
        row = self._row(
            EventKind.RETRYING, phase=ActionPhase.QUEUED, error=outcome.error, attrs=attrs
        )
        return replace(row, attempt=attempt)

    def _note_abort(self) -> None:
        if self._state.is_settled:
            return
        self._state, _ = advance(self._state, Cancelled("cancelled by its parent"))
        error = aborted_error(self._action.spec, "cancelled by its parent")
        row = self._row(EventKind.ABORTED, phase=ActionPhase.ABORTED, error=error, attrs={})
        rows = [self._first_row(), row] if self._first_row_due else [row]
        self._book.note(self._run, rows)


def _outcome_attrs(outcome: Outcome) -> dict[str, Any]:
    attrs: dict[str, Any] = {
        "started_us": outcome.started_us,
        "ended_us": outcome.ended_us,
        "node": outcome.place.node,
        "worker": outcome.place.worker,
        "pid": outcome.place.pid,
    }
    if outcome.kind is not OutcomeKind.SUCCEEDED:
        attrs["outcome"] = outcome.kind.value
    if outcome.logs:
        attrs["logs"] = outcome.logs
    if outcome.logs_key:
        attrs["logs_key"] = outcome.logs_key
    return attrs
