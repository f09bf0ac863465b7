"""What only a cluster can do to a task: lose its worker, be full, never fit (item 8)."""

from __future__ import annotations

import pytest

import flyte_ray as flyte
from flyte_ray import errors
from flyte_ray.core import lifecycle
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, only
from tests.integration.contract.tasks import perils, slow
from tests.integration.contract.tasks.marks import count

pytestmark = pytest.mark.integration


def test_a_lost_worker_is_not_charged_to_the_author(ray_house: House, marks: str) -> None:
    run = ray_house.finish(perils.loses_workers, marks)
    assert run.outputs()[0] == [2, 2]
    for action in run.actions():
        if action.task.endswith("dies_once"):
            assert [a.attempt for a in action.attempts] == [1, 2]
            assert "worker was lost" in (action.attempts[0].error or "")


def test_a_parent_that_dies_finds_its_children_done(ray_house: House, marks: str) -> None:
    assert ray_house.result(perils.parent_dies, marks) == [1, 1]
    assert [count(marks, name) for name in ("child", "parent", "after")] == [1, 2, 1]


def test_the_platforms_own_budget_ends(ray_house: House, marks: str) -> None:
    run = ray_house.finish(perils.always_dies, marks)
    assert run.phase is ActionPhase.FAILED
    with pytest.raises(errors.RuntimeSystemError) as caught:
        run.raise_for_status()
    assert caught.value.code == "WorkerLost"
    assert "always_dies" in str(caught.value)
    assert count(marks, "always") == 1 + lifecycle.PLATFORM_RETRIES


def test_an_impossible_child_fails_within_seconds_and_says_what_is_missing(
    ray_house: House,
) -> None:
    text = ray_house.result(perils.survives_the_impossible)
    assert "64 GPU" in text and "wants_64_gpus" in text
    run = ray_house.finish(perils.asks_for_the_impossible)
    with pytest.raises(errors.InfeasibleResourcesError):
        run.raise_for_status()
    assert len(only(run, "asks_for_the_impossible").attempts) == 1, "no retry can help"


def test_an_impossible_root_is_refused_before_it_starts(ray_house: House) -> None:
    before = len(ray_house.catalog().runs(None))
    with pytest.raises(errors.InfeasibleResourcesError, match="64 GPU"):
        ray_house.start(perils.wants_64_gpus)
    assert len(ray_house.catalog().runs(None)) == before


def test_the_refusal_offers_to_clamp(ray_house: House) -> None:
    greedy = perils.where_i_run.override(resources=flyte.Resources(cpu=100))
    with pytest.raises(errors.InfeasibleResourcesError, match="FLYTE_RAY_CLAMP_RESOURCES=1"):
        ray_house.start(greedy)


def test_local_mode_ignores_requests(local_house: House) -> None:
    assert local_house.result(perils.wants_64_gpus) == "had them"


def test_waiting_too_long_for_a_worker_is_a_timeout(ray_house: House, marks: str) -> None:
    assert ray_house.result(perils.sees_a_full_queue, marks) == ["MaxQueuedTimeExceededError", "1"]
    assert count(marks, "in line") == 1


def test_an_async_body_that_blocks_its_loop_is_killed(ray_house: House) -> None:
    run = ray_house.finish(slow.computes_async)
    assert run.phase is ActionPhase.TIMED_OUT, run.actions()
    assert list(run.get_logs()) == ["computing"]
    assert ray_house.result(perils.where_i_run)


def test_a_process_that_has_to_end_takes_no_further_attempt_along(ray_house: House) -> None:
    runs = [ray_house.finish(slow.sits_in_a_call)]
    runs += [ray_house.finish(perils.where_i_run) for _ in range(10)]
    attempts = [only(run, run.spec.task).attempts for run in runs]
    assert [len(each) for each in attempts] == [1] * 11
    assert attempts[0][0].logs == "sitting in a call\n"


def test_a_body_that_blocks_its_loop_beside_a_child_has_timed_out_once(
    ray_house: House, marks: str
) -> None:
    run = ray_house.finish(slow.computes_beside_a_child, marks)
    root = only(run, "computes_beside_a_child")
    assert [attempt.phase for attempt in root.attempts] == [ActionPhase.TIMED_OUT], root.attempts
