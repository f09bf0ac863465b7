"""Counters follow the actions, and agree with a recount."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.progress import (
    RECENT_FAILURES,
    Counts,
    RecentFailure,
    Tally,
    progress_of,
    short_names,
)

RUN = RunName("r1")


def test_a_moving_action_is_counted_once() -> None:
    tally = Tally()
    tally.move("env.f", None, ActionPhase.QUEUED)
    tally.move("env.f", ActionPhase.QUEUED, ActionPhase.RUNNING)
    tally.move("env.f", ActionPhase.RUNNING, ActionPhase.SUCCEEDED)
    assert tally.snapshot(RUN, ActionPhase.RUNNING, 1.0).tasks == {"env.f": Counts(succeeded=1)}


def test_a_cached_success_counts_as_cached_only() -> None:
    tally = Tally()
    tally.move("env.f", None, ActionPhase.SUCCEEDED, cached=True)
    counts = tally.snapshot(RUN, ActionPhase.SUCCEEDED, 0.0).totals
    assert (counts.cached, counts.succeeded, counts.total, counts.done) == (1, 0, 1, 1)


def test_a_snapshot_is_untouched_by_later_moves() -> None:
    tally = Tally()
    tally.move("env.f", None, ActionPhase.RUNNING)
    before = tally.snapshot(RUN, ActionPhase.RUNNING, 0.0)
    tally.move("env.f", ActionPhase.RUNNING, ActionPhase.FAILED)
    assert before.totals == Counts(running=1)


def test_only_the_latest_failures_are_kept_each_as_one_line() -> None:
    tally = Tally()
    for number in range(RECENT_FAILURES + 2):
        tally.fail("env.f", ActionId(f"a{number}"), f"item {number} is bad\nand more")
    failures = tally.snapshot(RUN, ActionPhase.RUNNING, 0.0).failures
    assert [f.message for f in failures] == [
        f"item {n} is bad" for n in range(2, RECENT_FAILURES + 2)
    ]


def test_the_root_task_is_the_one_without_a_parent() -> None:
    progress = progress_of(
        RUN,
        ActionPhase.RUNNING,
        [
            ("env.main", ActionPhase.RUNNING, False, None),
            ("env.f", ActionPhase.QUEUED, False, "a0"),
        ],
        failures=[RecentFailure(task="env.f", action_id=ActionId("x"), message="boom")],
        elapsed_s=2.5,
    )
    assert progress.root_task == "env.main"
    assert list(progress.tasks) == ["env.main", "env.f"]
    assert progress.failures[0].message == "boom"
    assert progress.elapsed_s == 2.5


MOVES = st.lists(st.sampled_from(list(ActionPhase)), min_size=1, max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["e.f", "e.g"]), MOVES), max_size=30))
def test_counting_moves_agrees_with_a_recount(histories: list) -> None:
    tally = Tally()
    for task, phases in histories:
        for old, new in zip([None, *phases], phases, strict=False):
            tally.move(task, old, new)
    recount = progress_of(
        RUN, ActionPhase.RUNNING, [(task, phases[-1], False, "a0") for task, phases in histories]
    )
    moved = tally.snapshot(RUN, ActionPhase.RUNNING, 0.0)
    assert moved.tasks == recount.tasks
    assert moved.totals.total == len(histories)


def test_short_names_drop_the_environment_unless_two_tasks_would_look_alike() -> None:
    assert short_names(["a.f", "a.g", "b.g", "a.f"]) == {"a.f": "f", "a.g": "a.g", "b.g": "b.g"}
