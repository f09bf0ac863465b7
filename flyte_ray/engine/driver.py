"""Carries out what `core/lifecycle` decides for one action, from the call to the acknowledged end.

The driver starts attempts through the executor, waits out backoffs, enforces the deadline, writes
the action's rows through the book keeper, and returns only after the store has the last of them.
It decides nothing: every branch below is a command of the lifecycle.

Crash in the middle: the rows that were acknowledged stand; whoever drives the action next (the
parent's next attempt, or the next host) finds them and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.lifecycle import (
    ActionState,
    Adopt,
    AskAgain,
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
from flyte_ray.core.model import ActionPhase, Event, EventKind, Outcome, Settled, utc_now_us
from flyte_ray.core.ports import BookKeeper, Clock, Executor
from flyte_ray.engine import rows
from flyte_ray.engine.action import Action
from flyte_ray.engine.cancellation import carried
from flyte_ray.engine.hand_in import HandIn
from flyte_ray.engine.intake import Found, Intake
from flyte_ray.engine.landing import landed
from flyte_ray.engine.verdicts import aborted_error, deadline_error

Why = Callable[[], str]
"""The reason of a cancellation, once there is one."""
BY_ITS_PARENT = "cancelled by its parent"


class Driver:
    """Drives any number of actions of one process at once; safe on several event loops."""

    def __init__(self, *, executor: Executor, book: BookKeeper, clock: Clock) -> None:
        self._executor = executor
        self._book = book
        self._clock = clock
        self._intake = Intake(book)
        self._hand_in = HandIn(book)

    def find(self, action: Action) -> Coroutine[Any, Any, Found]:
        """Ask the record first; see `Intake.find`."""
        return self._intake.find(action)

    async def drive(self, action: Action, why: Why = lambda: BY_ITS_PARENT) -> Settled:
        """Ask the record for the action, and run it to its end if that has no answer.

        `why` is asked when it is cancelled: what its row says.

        Raises:
            FencedError: another owner has taken the run over; nothing more can be recorded.
            StoreError: the store stayed away for longer than the ledger waits.
        """
        found = await self._intake.find(action)
        return found if isinstance(found, Settled) else await self._drive(action, why).run(found)

    def run(self, action: Action, found: Submitted) -> Coroutine[Any, Any, Settled]:
        """Run an action to its end that `find` has no answer to. Raises as `drive` does.

        Cancelling the awaiting task aborts it, and its row says so.
        """
        # No coroutine of its own: a call goes through these layers twice.
        return self._drive(action).run(found)

    def give_up(self, action: Action) -> None:
        """Of an action that `find` has no answer to and that is not run: it holds no key on."""
        if action.question is not None and action.question.serialize:
            self._drive(action).give_up()

    def _drive(self, action: Action, why: Why = lambda: BY_ITS_PARENT) -> _Drive:
        return _Drive(self._executor, self._book, self._hand_in, self._clock, action, why)


class _Drive:
    """The driving of one action: the lifecycle's state, and the means to obey it."""

    def __init__(
        self,
        executor: Executor,
        book: BookKeeper,
        hand_in: HandIn,
        clock: Clock,
        action: Action,
        why: Why,
    ) -> None:
        self._executor = executor
        self._book = book
        self._hand_in = hand_in
        self._clock = clock
        self._action = action
        self._why = why
        self._spec = spec = action.spec
        self._run = spec.run.name
        self._state: ActionState = begin(
            LifecyclePolicy(strategy=spec.options.retries, attempts_before=spec.attempt - 1)
        )
        self._first_row_due = True
        self._deadline: asyncio.Timeout | None = None
        self._settled: Settled | None = None

    async def run(self, first: Submitted) -> Settled:
        deadline = self._spec.options.timeout.deadline
        try:
            if not deadline:
                return await self._obey_to_the_end(first)
            try:
                async with asyncio.timeout(deadline.total_seconds()) as self._deadline:
                    return await self._obey_to_the_end(first)
            except TimeoutError:
                self._deadline = None
                return await self._obey_to_the_end(DeadlineReached())
        except asyncio.CancelledError as error:
            # The awaiting task was cancelled: the attempt has stopped (see Executor.execute). The
            # row need not be waited for: if it is lost, the action simply counts as unfinished.
            self._note_abort(carried(error))
            raise

    def give_up(self) -> None:
        self._note_abort(None)

    async def _asked_again(self) -> Submitted:
        question = self._action.question
        assert question is not None, "what is held was asked for"
        (answer,) = await landed(self._book.look_up(self._run, [question]))
        return Submitted(answer)

    async def _obey_to_the_end(self, stimulus: Stimulus) -> Settled:
        due: Stimulus | None = stimulus
        while due is not None:
            self._state, commands = advance(self._state, due)
            due = None
            if self._state.is_settled and self._deadline and not self._deadline.expired():
                # It came in time: a store that is slow to take its row must not undo that.
                self._deadline.reschedule(None)
            for command in commands:
                due = await self._obey(command)
        assert self._settled is not None, "the lifecycle ended without a Settle or Adopt command"
        return self._settled

    async def _obey(self, command: Command) -> Stimulus | None:
        match command:
            case StartAttempt(attempt=attempt):
                if self._first_row_due:
                    self._book.note(self._run, [self._first_row()])
                self._spec = self._spec.submitted(attempt, utc_now_us())
                return AttemptEnded(await self._executor.execute(self._spec, self._action.task))
            case AskAgain(delay_s=delay_s):
                if self._first_row_due:
                    self._book.note(self._run, [self._first_row()])
                await self._clock.sleep(delay_s)
                return await self._asked_again()
            case WaitBackoff(outcome=outcome, delay_s=delay_s):
                await self._record(self._retry_row(outcome, delay_s))
                await self._clock.sleep(delay_s)
                return BackoffOver()
            case Adopt(answer=answer, phase=phase):
                await self._adopt(answer, phase)
            case Settle(phase=phase, outcome=outcome, reason=reason):
                await self._settle(phase, outcome, reason)
            case StopAttempt():
                pass  # cancelling the awaiting task stopped it: see Executor.execute
        return None

    async def _adopt(self, answer: Answer, phase: ActionPhase) -> None:
        self._settled = Settled(phase=phase, outputs=answer.outputs)
        if answer.source != "book":  # the book has it already
            self._first_row_due = False
            await self._record(rows.adopted(self._spec, answer, phase, self._action.attrs))

    async def _settle(self, phase: ActionPhase, outcome: Outcome | None, reason: str) -> None:
        if outcome is not None and outcome.is_success:
            await self._succeed(outcome)
            return
        spec = self._spec
        error = outcome.error if outcome is not None else None
        if error is None and phase is ActionPhase.TIMED_OUT:
            error = deadline_error(spec)
        elif error is None:
            error = aborted_error(spec, reason)
        attrs = rows.outcome_attrs(spec, outcome) if outcome is not None else {"reason": reason}
        await self._record(rows.row(spec, rows.END_KINDS[phase], phase, attrs, error=error))
        self._settled = Settled(phase=phase, error=error)

    async def _succeed(self, outcome: Outcome) -> None:
        outputs = outcome.outputs
        await self._record(rows.success(self._spec, outcome))
        if self._spec.replay or self._is_serialized:
            # Another attempt (its process taken for lost), or another claimant of the key, may have
            # been first: then the book has its outputs, not ours.
            asked = Question(action_id=self._spec.action_id, task=self._spec.task, adopt=False)
            (answer,) = await landed(self._book.look_up(self._run, [asked]))
            outputs = answer.outputs if answer is not None else outputs
        self._settled = Settled(phase=ActionPhase.SUCCEEDED, outputs=outputs)

    @property
    def _is_serialized(self) -> bool:
        question = self._action.question
        return question is not None and question.serialize

    # ---- rows

    def _record(self, event: Event) -> Awaitable[None]:
        events = [self._first_row(), event] if self._first_row_due else [event]
        if self._is_serialized:
            # It may wait for another run: no company for rows that need not.
            return landed(self._book.record(self._run, events))
        return self._hand_in.record(self._run, events)

    def _first_row(self) -> Event:
        self._first_row_due = False
        return rows.submitted(self._spec, self._action.attrs)

    def _retry_row(self, outcome: Outcome, delay_s: float) -> Event:
        attrs = {
            **rows.outcome_attrs(self._spec, outcome),
            "will_retry": True,
            "backoff_s": delay_s,
        }
        return rows.row(
            self._spec, EventKind.RETRYING, ActionPhase.QUEUED, attrs, error=outcome.error
        )

    def _note_abort(self, outcome: Outcome | None) -> None:
        if self._state.is_settled:
            return
        reason = self._why()
        self._state, _ = advance(self._state, Cancelled(reason))
        error = aborted_error(self._spec, reason)
        attrs = rows.outcome_attrs(self._spec, outcome) if outcome is not None else {}
        event = rows.row(self._spec, EventKind.ABORTED, ActionPhase.ABORTED, attrs, error=error)
        events = [self._first_row(), event] if self._first_row_due else [event]
        self._book.note(self._run, events)
