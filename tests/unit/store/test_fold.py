from __future__ import annotations

from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.store.fold import ActionRecord, count_phases, fold
from tests.unit.store.books import ONE, row

ERROR = '{"code":"ValueError","kind":"user","message":"no"}'
FINAL = '{"code":"ValueError","kind":"user","message":"no","recoverable":false}'


def record(*events: Event) -> ActionRecord:
    [found] = fold(events).values()
    return found


def submitted(**fields: object) -> Event:
    return row(EventKind.SUBMITTED, at_us=10, inputs=ONE.to_json(), **fields)  # type: ignore[arg-type]


def ended(kind: EventKind, attempt: int = 1, at_us: int = 40, **fields: object) -> Event:
    return row(kind, at_us=at_us, attempt=attempt, **fields)  # type: ignore[arg-type]


def test_a_submitted_action_is_queued_with_its_inputs() -> None:
    attrs = {"identity": "i", "scope": "s", "group": "g", "short_name": "tidy"}
    action = record(submitted(cache_key="k", attrs=attrs))
    assert action.phase is ActionPhase.QUEUED
    assert action.inputs == ONE
    assert (action.identity, action.scope, action.group, action.name) == ("i", "s", "g", "tidy")
    assert (action.cache_key, action.submitted_us, action.outputs) == ("k", 10, None)
    assert (action.kind, action.parent_id, action.task) == ("task", ROOT_ACTION, "env.step")


def test_a_success_has_one_attempt_with_its_place_and_times() -> None:
    attrs = {"started_us": 21, "ended_us": 39, "node": "n", "worker": "w", "pid": 7, "logs": "hi"}
    action = record(
        submitted(),
        row(EventKind.STARTED, at_us=20, attempt=1),
        ended(EventKind.SUCCEEDED, outputs=ONE.to_json(), attrs=attrs),
    )
    [attempt] = action.attempts
    assert (action.phase, action.outputs) == (ActionPhase.SUCCEEDED, ONE)
    assert (action.started_us, action.ended_us) == (21, 39)
    assert (attempt.phase, attempt.started_us, attempt.ended_us) == (ActionPhase.SUCCEEDED, 21, 39)
    assert (attempt.node, attempt.worker, attempt.pid, attempt.logs) == ("n", "w", 7, "hi")
    assert "logs" not in action.attrs


def test_a_running_action_shows_its_open_attempt() -> None:
    action = record(submitted(), row(EventKind.STARTED, at_us=20, attempt=1))
    assert action.phase is ActionPhase.RUNNING
    assert [(a.attempt, a.phase, a.ended_us) for a in action.attempts] == [
        (1, ActionPhase.RUNNING, None)
    ]


def test_every_attempt_of_a_retried_action_is_kept() -> None:
    action = record(
        submitted(),
        row(EventKind.STARTED, at_us=20, attempt=1),
        ended(EventKind.RETRYING, 1, 30, error=ERROR, attrs={"will_retry": True}),
        row(EventKind.STARTED, at_us=40, attempt=2),
        ended(EventKind.SUCCEEDED, 2, 50, outputs=ONE.to_json()),
    )
    assert action.phase is ActionPhase.SUCCEEDED
    assert (action.error, action.started_us, action.ended_us) == (None, 20, 50)
    first, second = action.attempts
    assert (first.phase, first.error, first.will_retry) == (ActionPhase.FAILED, ERROR, True)
    assert (second.phase, second.error, second.will_retry) == (ActionPhase.SUCCEEDED, None, False)


def test_between_attempts_an_action_is_queued_without_an_error_of_its_own() -> None:
    action = record(submitted(), ended(EventKind.RETRYING, 1, error=ERROR))
    assert (action.phase, action.error) == (ActionPhase.QUEUED, None)
    assert action.attempts[0].error == ERROR


def test_failures_tell_whether_a_retry_could_help() -> None:
    assert record(submitted(), ended(EventKind.FAILED, error=FINAL)).is_final_error
    plain = record(submitted(), ended(EventKind.FAILED, error=ERROR))
    assert (plain.phase, plain.error, plain.is_final_error) == (ActionPhase.FAILED, ERROR, False)


def test_cached_and_recovered_actions_have_outputs_and_no_attempts() -> None:
    hit = record(submitted(), row(EventKind.CACHE_HIT, outputs=ONE.to_json(), at_us=20))
    adopted = record(submitted(), row(EventKind.RECOVERED, outputs=ONE.to_json(), at_us=20))
    assert (hit.phase, hit.cached, hit.outputs) == (ActionPhase.SUCCEEDED, True, ONE)
    assert (adopted.phase, adopted.cached, adopted.outputs) == (ActionPhase.RECOVERED, False, ONE)
    assert hit.attempts == adopted.attempts == ()


def test_an_abort_ends_the_open_attempt() -> None:
    started = row(EventKind.STARTED, at_us=20, attempt=1)
    action = record(submitted(), started, row(EventKind.ABORTED, at_us=30))
    assert action.phase is ActionPhase.ABORTED
    assert [(a.phase, a.ended_us) for a in action.attempts] == [(ActionPhase.ABORTED, 30)]


def test_an_abort_that_comes_late_does_not_undo_a_success() -> None:
    success = ended(EventKind.SUCCEEDED, outputs=ONE.to_json())
    action = record(submitted(), success, row(EventKind.ABORTED, at_us=50))
    assert (action.phase, action.outputs, action.ended_us) == (ActionPhase.SUCCEEDED, ONE, 40)


def test_a_start_that_comes_after_the_end_belongs_to_its_attempt() -> None:
    late = row(EventKind.STARTED, at_us=20, attempt=1)
    action = record(submitted(), ended(EventKind.SUCCEEDED, outputs=ONE.to_json()), late)
    assert (action.phase, action.started_us) == (ActionPhase.SUCCEEDED, 20)
    retried = record(submitted(), ended(EventKind.RETRYING, 1, error=ERROR), late)
    assert [(a.attempt, a.phase) for a in retried.attempts] == [(1, ActionPhase.FAILED)]


def test_starts_that_come_after_further_attempts_belong_to_their_own() -> None:
    late = [row(EventKind.STARTED, at_us=20 * number, attempt=number) for number in (1, 2)]
    ends = [
        ended(EventKind.RETRYING, 1, 30, error=ERROR),
        ended(EventKind.RETRYING, 2, 50, error=ERROR),
        ended(EventKind.SUCCEEDED, 3, 70, outputs=ONE.to_json()),
    ]
    for rows in ([*ends[:2], *late, ends[2]], [*ends, *late]):
        action = record(submitted(), *rows)
        assert (action.phase, action.started_us) == (ActionPhase.SUCCEEDED, 20)
        assert [(a.attempt, a.phase, a.started_us) for a in action.attempts] == [
            (1, ActionPhase.FAILED, 20),
            (2, ActionPhase.FAILED, 40),
            (3, ActionPhase.SUCCEEDED, None),
        ]
    between = record(submitted(), *ends[:2], *late)
    assert between.phase is ActionPhase.QUEUED, "nothing runs just now"


def test_an_action_that_runs_again_under_its_parents_retry_begins_anew() -> None:
    action = record(
        submitted(),
        row(EventKind.STARTED, at_us=20, attempt=1),
        ended(EventKind.FAILED, error=ERROR),
        submitted(),
        row(EventKind.STARTED, at_us=60, attempt=1),
    )
    assert (action.phase, action.error, action.ended_us) == (ActionPhase.RUNNING, None, None)
    assert [(a.attempt, a.phase) for a in action.attempts] == [
        (1, ActionPhase.FAILED),
        (1, ActionPhase.RUNNING),
    ]


def test_an_attempt_lost_with_its_owner_is_closed_by_the_next_one() -> None:
    action = record(
        submitted(),
        row(EventKind.STARTED, at_us=20, attempt=1),
        submitted(),
        row(EventKind.STARTED, at_us=60, attempt=1),
        ended(EventKind.SUCCEEDED, 1, 70, outputs=ONE.to_json()),
    )
    assert [a.phase for a in action.attempts] == [ActionPhase.ABORTED, ActionPhase.SUCCEEDED]


def test_a_trace_that_failed_may_succeed_later() -> None:
    failed = row(EventKind.TRACE, phase=ActionPhase.FAILED, error=ERROR)
    worked = row(EventKind.TRACE, phase=ActionPhase.SUCCEEDED, outputs=ONE.to_json(), at_us=5)
    assert record(failed).kind == "trace"
    assert record(failed).phase is ActionPhase.FAILED
    assert record(failed, worked).outputs == ONE
    assert record(worked, failed).outputs == ONE


def test_a_condition_is_paused_until_it_is_answered() -> None:
    waiting = row(EventKind.CONDITION, phase=ActionPhase.PAUSED)
    answered = row(EventKind.CONDITION, phase=ActionPhase.SUCCEEDED, outputs=ONE.to_json())
    assert (record(waiting).kind, record(waiting).phase) == ("condition", ActionPhase.PAUSED)
    assert record(waiting, answered).phase is ActionPhase.SUCCEEDED


def test_the_end_of_a_run_ends_a_root_that_has_no_end_of_its_own() -> None:
    begun = row(EventKind.SUBMITTED, ROOT_ACTION)
    end = row(EventKind.RUN_END, ROOT_ACTION, phase=ActionPhase.ABORTED, error=ERROR, at_us=9,
              attrs={"counts": {}})  # fmt: skip
    action = record(begun, end)
    assert (action.phase, action.error, action.ended_us) == (ActionPhase.ABORTED, ERROR, 9)
    assert "counts" not in action.attrs


def test_rows_that_concern_no_action_make_none() -> None:
    end = row(EventKind.RUN_END, ROOT_ACTION)
    assert fold([row(EventKind.FENCE, ""), row(EventKind.EPOCH, ""), end]) == {}


def test_counts_do_not_overlap_and_leave_traces_out() -> None:
    actions = fold(
        [
            row(EventKind.SUCCEEDED, "a1", attempt=1),
            row(EventKind.CACHE_HIT, "a2"),
            row(EventKind.RECOVERED, "a3"),
            row(EventKind.FAILED, "a4", attempt=1),
            row(EventKind.STARTED, "a5", attempt=1),
            row(EventKind.TRACE, "a6"),
        ]
    )
    counts = count_phases(actions.values())
    expected = {"succeeded": 1, "cached": 1, "recovered": 1, "failed": 1, "running": 1}
    assert {name: n for name, n in counts.items() if n} == expected
