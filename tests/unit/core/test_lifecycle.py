"""What happens next: the exact commands by example, and rules that hold whatever happens."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.calls import Answer
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.lifecycle import (
    LONGEST_ASK_AGAIN_S,
    PLATFORM_RETRIES,
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
from flyte_ray.core.model import ActionPhase, Outcome, OutcomeKind
from flyte_ray.core.payload import EMPTY
from flyte_ray.core.retry import Backoff, RetryStrategy

PLATFORM = Backoff(timedelta(seconds=10))
USER = Backoff(timedelta(seconds=1), factor=2.0, cap=timedelta(seconds=3))


def fresh(retries: int = 0, platform: int = 2, before: int = 0) -> ActionState:
    policy = LifecyclePolicy(
        strategy=RetryStrategy(retries, USER), platform_retries=platform, attempts_before=before
    )
    return begin(replace(policy, platform_backoff=PLATFORM))


def running(retries: int = 0, platform: int = 2) -> ActionState:
    state, _ = advance(fresh(retries, platform), Submitted())
    return state


def ended(kind: OutcomeKind) -> AttemptEnded:
    return AttemptEnded(Outcome(kind=kind))


def answered(source: str) -> Submitted:
    return Submitted(
        Answer(outputs=EMPTY, source=source, source_run=RunName("r"), source_action=ActionId("a"))
    )


# ---- by example


def test_a_new_action_starts_its_first_attempt() -> None:
    state, commands = advance(fresh(), Submitted())
    assert commands == (StartAttempt(1),)
    assert (state.phase, state.attempt) == (ActionPhase.RUNNING, 1)


def test_an_action_that_somebody_else_computes_asks_again_after_growing_pauses() -> None:
    state, pauses = fresh(), []
    held = replace(answered("held").answer, ask_again_s=0.5)  # type: ignore[type-var]
    for _ in range(30):
        state, (command,) = advance(state, Submitted(held))
        assert isinstance(command, AskAgain)
        assert state.phase is ActionPhase.QUEUED
        pauses.append(command.delay_s)
    assert pauses[:3] == [0.5, 0.75, 1.125]
    assert pauses[-1] == LONGEST_ASK_AGAIN_S
    _, commands = advance(state, Submitted())
    assert commands == (StartAttempt(1),), "the other one gave up: it is ours"
    _, commands = advance(state, Cancelled("no longer wanted"))
    assert commands == (Settle(ActionPhase.ABORTED, reason="no longer wanted"),)


def test_numbering_goes_on_after_an_earlier_driver() -> None:
    _, commands = advance(fresh(before=3), Submitted())
    assert commands == (StartAttempt(4),)


@pytest.mark.parametrize(
    ("source", "phase"),
    [
        ("book", ActionPhase.SUCCEEDED),
        ("cache", ActionPhase.SUCCEEDED),
        ("recovered", ActionPhase.RECOVERED),
    ],
)
def test_an_answer_is_adopted_without_an_attempt(source: str, phase: ActionPhase) -> None:
    stimulus = answered(source)
    state, commands = advance(fresh(), stimulus)
    assert stimulus.answer is not None
    assert commands == (Adopt(stimulus.answer, phase),)
    assert (state.phase, state.attempt) == (phase, 0)


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (OutcomeKind.SUCCEEDED, ActionPhase.SUCCEEDED),
        (OutcomeKind.FINAL_ERROR, ActionPhase.FAILED),
        (OutcomeKind.CANCELLED, ActionPhase.ABORTED),
    ],
)
def test_some_outcomes_end_the_action_whatever_is_left_to_spend(
    kind: OutcomeKind, phase: ActionPhase
) -> None:
    stimulus = ended(kind)
    state, commands = advance(running(retries=5), stimulus)
    assert commands == (Settle(phase, stimulus.outcome),)
    assert state.phase is phase


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (OutcomeKind.USER_ERROR, ActionPhase.FAILED),
        (OutcomeKind.OUT_OF_MEMORY, ActionPhase.FAILED),
        (OutcomeKind.TIMED_OUT, ActionPhase.TIMED_OUT),
    ],
)
def test_some_outcomes_cost_a_retry_and_end_the_action_without_one(
    kind: OutcomeKind, phase: ActionPhase
) -> None:
    stimulus = ended(kind)
    state, commands = advance(running(retries=1), stimulus)
    assert commands == (WaitBackoff(stimulus.outcome, 1, 1.0),)
    assert state.phase is ActionPhase.QUEUED
    state, commands = advance(state, BackoffOver())
    assert commands == (StartAttempt(2),)
    state, commands = advance(state, stimulus)
    assert commands == (Settle(phase, stimulus.outcome),)
    assert state.phase is phase


def test_backoff_grows_up_to_its_cap() -> None:
    state, delays = running(retries=4), []
    for _ in range(4):
        state, (command,) = advance(state, ended(OutcomeKind.USER_ERROR))
        assert isinstance(command, WaitBackoff)
        delays.append(command.delay_s)
        state, _ = advance(state, BackoffOver())
    assert delays == [1.0, 2.0, 3.0, 3.0]


def test_a_lost_worker_spends_the_platforms_budget_and_not_the_authors() -> None:
    stimulus = ended(OutcomeKind.PLATFORM_ERROR)
    state = running(retries=0, platform=2)
    for attempt in (1, 2):
        state, commands = advance(state, stimulus)
        assert commands == (WaitBackoff(stimulus.outcome, attempt, 10.0),)
        state, _ = advance(state, BackoffOver())
    state, commands = advance(state, stimulus)
    assert commands == (Settle(ActionPhase.FAILED, stimulus.outcome),)
    assert (state.user_failures, state.platform_failures) == (0, 2)


def test_the_deadline_stops_a_running_attempt() -> None:
    state, commands = advance(running(retries=5), DeadlineReached())
    assert commands == (StopAttempt(), Settle(ActionPhase.TIMED_OUT, reason="deadline"))
    assert state.phase is ActionPhase.TIMED_OUT


def test_between_attempts_there_is_nothing_to_stop() -> None:
    waiting, _ = advance(running(retries=1), ended(OutcomeKind.USER_ERROR))
    assert advance(waiting, DeadlineReached())[1] == (
        Settle(ActionPhase.TIMED_OUT, reason="deadline"),
    )
    assert advance(waiting, Cancelled("why"))[1] == (Settle(ActionPhase.ABORTED, reason="why"),)


def test_cancelling_stops_a_running_attempt_and_says_why() -> None:
    state, commands = advance(running(), Cancelled("no longer wanted"))
    assert commands == (StopAttempt(), Settle(ActionPhase.ABORTED, reason="no longer wanted"))
    assert state.phase is ActionPhase.ABORTED


# ---- rules

OUTCOMES = st.sampled_from(list(OutcomeKind)).map(ended)
INTERRUPTIONS = st.sampled_from([DeadlineReached(), Cancelled("x")])
STIMULI: st.SearchStrategy[Stimulus] = st.one_of(
    st.just(Submitted()),
    st.sampled_from(["book", "cache", "recovered"]).map(answered),
    OUTCOMES,
    st.just(BackoffOver()),
    INTERRUPTIONS,
)


def settles(commands: tuple[Command, ...]) -> int:
    return sum(isinstance(command, Settle | Adopt) for command in commands)


def starts(commands: tuple[Command, ...]) -> int:
    return sum(isinstance(command, StartAttempt) for command in commands)


@given(st.lists(STIMULI, max_size=30), st.integers(0, 4), st.integers(0, 3))
def test_a_settled_action_ignores_every_stimulus(
    stimuli: list[Stimulus], retries: int, platform: int
) -> None:
    state = fresh(retries, platform)
    for stimulus in stimuli:
        before = state
        state, commands = advance(state, stimulus)
        if before.is_settled:
            assert (state, commands) == (before, ())
        assert settles(commands) == int(state.is_settled and not before.is_settled)


def played(
    outcomes: list[AttemptEnded], retries: int, platform: int, stop: Stimulus | None
) -> tuple[ActionState, list[Command]]:
    """The life of an action as a driver plays it, until the outcomes run out."""
    state, commands = advance(fresh(retries, platform), Submitted())
    seen = list(commands)
    left = list(outcomes)
    while not state.is_settled:
        last = seen[-1]
        if isinstance(last, StartAttempt):
            stimulus = left.pop(0) if left else (stop or Cancelled("the end"))
        else:
            stimulus = BackoffOver()
        state, commands = advance(state, stimulus)
        seen.extend(commands)
    return state, seen


@given(
    st.lists(OUTCOMES, max_size=12),
    st.integers(0, 4),
    st.integers(0, 3),
    st.none() | INTERRUPTIONS,
)
def test_a_driven_action_ends_once_within_its_budgets(
    outcomes: list[AttemptEnded], retries: int, platform: int, stop: Stimulus | None
) -> None:
    state, seen = played(outcomes, retries, platform, stop)
    commands = tuple(seen)
    assert settles(commands) == 1
    assert isinstance(seen[-1], Settle)
    assert starts(commands) == state.attempt <= retries + platform + 1
    assert state.user_failures <= retries
    assert state.platform_failures <= platform
    numbers = [command.attempt for command in seen if isinstance(command, StartAttempt)]
    assert numbers == list(range(1, len(numbers) + 1))


@given(st.lists(OUTCOMES, max_size=12), st.integers(0, 4), st.integers(0, 3))
def test_every_further_attempt_follows_a_backoff(
    outcomes: list[AttemptEnded], retries: int, platform: int
) -> None:
    _, seen = played(outcomes, retries, platform, None)
    for before, command in itertools.pairwise(seen):
        if isinstance(command, StartAttempt):
            assert isinstance(before, WaitBackoff)
            assert before.attempt == command.attempt - 1
            assert before.delay_s >= 0


@given(st.lists(OUTCOMES, min_size=1, max_size=12), st.integers(0, 4), st.integers(0, 3))
def test_success_is_reported_exactly_when_the_last_attempt_succeeded(
    outcomes: list[AttemptEnded], retries: int, platform: int
) -> None:
    state, seen = played(outcomes, retries, platform, None)
    last = seen[-1]
    assert isinstance(last, Settle)
    assert last.phase is state.phase
    succeeded = last.outcome is not None and last.outcome.is_success
    assert (state.phase is ActionPhase.SUCCEEDED) is succeeded


def test_the_platforms_budget_is_more_than_one() -> None:
    assert LifecyclePolicy().platform_retries == PLATFORM_RETRIES > 1
    assert replace(fresh(), phase=ActionPhase.RECOVERED).is_settled
