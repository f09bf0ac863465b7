"""What happens next to an action: a pure function of its state and of what just happened.

    advance(state, stimulus) -> (state, commands)

Retries, budgets, time limits, answers from the record and abort are decided here and nowhere
else; `engine/driver.py` carries the commands out. No clock, no disk, no Ray: tested by example
and by hypothesis rules in `tests/unit/core/test_lifecycle.py`. (The shape is that of
distributed's worker state machine.)

Budgets: user errors, per-attempt time limits and out-of-memory spend `retries`; a lost worker
spends `platform_retries`, which is not the author's; final errors, the deadline and cancellation
end the action at once.
"""

from __future__ import annotations

from dataclasses import field, replace
from datetime import timedelta

from flyte_ray.core.calls import Answer
from flyte_ray.core.model import ActionPhase, Outcome, OutcomeKind
from flyte_ray.core.noun import noun
from flyte_ray.core.retry import Backoff, RetryStrategy

PLATFORM_RETRIES = 5
"""Lost workers an action survives. Preemption and node loss are not the author's fault."""
PLATFORM_BACKOFF = Backoff(base=timedelta(milliseconds=200), factor=2.0, cap=timedelta(seconds=30))

ASK_AGAIN_GROWTH = 1.5
LONGEST_ASK_AGAIN_S = 2.0
_MOST_GROWTH = 20


@noun(frozen=True, slots=True, kw_only=True)
class ActionState:
    """Where an action stands, and what it may still spend."""

    strategy: RetryStrategy
    platform_backoff: Backoff
    platform_retries: int = PLATFORM_RETRIES
    phase: ActionPhase = ActionPhase.QUEUED
    attempt: int = 0
    """Attempts begun so far."""
    user_failures: int = 0
    platform_failures: int = 0
    asked_again: int = 0
    """How often the answer was that somebody else is computing it."""

    @property
    def is_settled(self) -> bool:
        """True when no stimulus changes the state any more."""
        return self.phase.is_terminal


# ---- stimuli: what happened


@noun(frozen=True, slots=True)
class Submitted:
    """The call arrived; `answer` is what the record already knew of it."""

    answer: Answer | None = None


@noun(frozen=True, slots=True)
class AttemptEnded:
    """The executor handed an outcome back."""

    outcome: Outcome


@noun(frozen=True, slots=True)
class BackoffOver:
    """The pause before the next attempt has passed."""


@noun(frozen=True, slots=True)
class DeadlineReached:
    """The time for the whole action, all attempts together, is over."""


@noun(frozen=True, slots=True)
class Cancelled:
    """The parent, or somebody from outside, no longer wants the action."""

    reason: str = ""


Stimulus = Submitted | AttemptEnded | BackoffOver | DeadlineReached | Cancelled


# ---- commands: what to do now


@noun(frozen=True, slots=True)
class Adopt:
    """Take the recorded outputs for the action's own."""

    answer: Answer
    phase: ActionPhase


@noun(frozen=True, slots=True)
class AskAgain:
    """Somebody else computes the same (`Cache(serialize=True)`): pause, ask, send `Submitted`."""

    delay_s: float


@noun(frozen=True, slots=True)
class StartAttempt:
    """Hand the attempt to the executor."""

    attempt: int


@noun(frozen=True, slots=True)
class StopAttempt:
    """Stop the attempt in flight: softly, then by force."""


@noun(frozen=True, slots=True)
class WaitBackoff:
    """Record the failed attempt, pause, then send `BackoffOver`."""

    outcome: Outcome
    attempt: int
    delay_s: float


@noun(frozen=True, slots=True)
class Settle:
    """Record the end of the action."""

    phase: ActionPhase
    outcome: Outcome | None = None
    reason: str = ""


Command = Adopt | AskAgain | StartAttempt | StopAttempt | WaitBackoff | Settle
Step = tuple[ActionState, tuple[Command, ...]]


@noun(frozen=True, slots=True, kw_only=True)
class LifecyclePolicy:
    """The author's and the platform's wishes that a new action starts with."""

    strategy: RetryStrategy = field(default_factory=lambda: RetryStrategy(0))
    platform_retries: int = PLATFORM_RETRIES
    platform_backoff: Backoff = PLATFORM_BACKOFF
    attempts_before: int = 0
    """Attempts that an earlier driver of the action had begun; numbering goes on after them."""


def begin(policy: LifecyclePolicy) -> ActionState:
    """The state of an action nobody has heard of yet."""
    return ActionState(
        strategy=policy.strategy,
        platform_retries=policy.platform_retries,
        platform_backoff=policy.platform_backoff,
        attempt=policy.attempts_before,
    )


def advance(state: ActionState, stimulus: Stimulus) -> Step:
    """The next state and what to do, in order. A settled action ignores every stimulus."""
    if state.is_settled:
        return state, ()
    match stimulus:
        case Submitted(answer=None) | BackoffOver():
            return _start(state)
        case Submitted(answer=Answer(source="held") as answer):
            return _ask_again(state, answer)
        case Submitted(answer=Answer() as answer):
            phase = ActionPhase.RECOVERED if answer.source == "recovered" else ActionPhase.SUCCEEDED
            return replace(state, phase=phase), (Adopt(answer, phase),)
        case AttemptEnded(outcome=outcome):
            return _ended(state, outcome)
        case Cancelled(reason=reason):
            return _stop(state, ActionPhase.ABORTED, reason)
        case Submitted() | DeadlineReached():
            return _stop(state, ActionPhase.TIMED_OUT, "deadline")


def _ask_again(state: ActionState, held: Answer) -> Step:
    # Growing pauses: thousands may wait for one long computation.
    delay_s = min(held.ask_again_s * ASK_AGAIN_GROWTH**state.asked_again, LONGEST_ASK_AGAIN_S)
    after = replace(state, asked_again=min(state.asked_again + 1, _MOST_GROWTH))
    return after, (AskAgain(max(delay_s, held.ask_again_s)),)


def _start(state: ActionState) -> Step:
    attempt = state.attempt + 1
    return (
        _moved(state, ActionPhase.RUNNING, attempt),
        (StartAttempt(attempt),),
    )


def _moved(state: ActionState, phase: ActionPhase, attempt: int) -> ActionState:
    """The same in another phase. Every action takes this way, and `replace` would be slow."""
    return ActionState(
        strategy=state.strategy,
        platform_backoff=state.platform_backoff,
        platform_retries=state.platform_retries,
        phase=phase,
        attempt=attempt,
        user_failures=state.user_failures,
        platform_failures=state.platform_failures,
        asked_again=state.asked_again,
    )


def _stop(state: ActionState, phase: ActionPhase, reason: str) -> Step:
    stop: tuple[Command, ...] = (StopAttempt(),) if state.phase is ActionPhase.RUNNING else ()
    return replace(state, phase=phase), (*stop, Settle(phase, reason=reason))


def _ended(state: ActionState, outcome: Outcome) -> Step:
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return _settle(state, ActionPhase.SUCCEEDED, outcome)
        case OutcomeKind.FINAL_ERROR:
            return _settle(state, ActionPhase.FAILED, outcome)
        case OutcomeKind.CANCELLED:
            return _settle(state, ActionPhase.ABORTED, outcome)
        case OutcomeKind.PLATFORM_ERROR:
            return _spend_platform(state, outcome)
        case OutcomeKind.USER_ERROR | OutcomeKind.OUT_OF_MEMORY | OutcomeKind.TIMED_OUT:
            return _spend_user(state, outcome)


def _settle(state: ActionState, phase: ActionPhase, outcome: Outcome) -> Step:
    return _moved(state, phase, state.attempt), (Settle(phase, outcome),)


def _spend_user(state: ActionState, outcome: Outcome) -> Step:
    if state.user_failures >= state.strategy.count:
        timed_out = outcome.kind is OutcomeKind.TIMED_OUT
        phase = ActionPhase.TIMED_OUT if timed_out else ActionPhase.FAILED
        return _settle(state, phase, outcome)
    delay = state.strategy.delay(state.user_failures)
    after = replace(state, phase=ActionPhase.QUEUED, user_failures=state.user_failures + 1)
    return after, (WaitBackoff(outcome, state.attempt, delay),)


def _spend_platform(state: ActionState, outcome: Outcome) -> Step:
    if state.platform_failures >= state.platform_retries:
        return _settle(state, ActionPhase.FAILED, outcome)
    delay = state.platform_backoff.compute_delay(state.platform_failures).total_seconds()
    after = replace(state, phase=ActionPhase.QUEUED, platform_failures=state.platform_failures + 1)
    return after, (WaitBackoff(outcome, state.attempt, delay),)
