"""Steps inside a task: recorded, and replayed by its next attempt (item 1, §16)."""

from __future__ import annotations

import asyncio

from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House
from tests.integration.contract.tasks import tracing
from tests.integration.contract.tasks.marks import count


def test_a_retry_replays_every_kind_of_step(house: House, marks: str) -> None:
    run = house.finish(tracing.traced, marks)
    run.raise_for_status()
    assert run.outputs()[0] == [
        *[2, 2, 3],
        3,
        None,
        {"a": [1, 2]},
        [0, 1, 2],
        ["0", "1"],
        [11, 11],
        5,
        "for good",
    ]
    wanted = {
        "body": 2,
        "plain": 3 + 2,  # three by the task, two by the outer step; all of them once
        "sync": 1,
        "none": 1,
        "undeclared": 1,
        "sync_items": 2,
        "outer": 1,
        "breaks": 2,  # a failure that a retry may mend is tried again
        "for_good": 1,  # one that it cannot mend is raised again
    }
    assert {name: count(marks, name) for name in wanted} == wanted
    assert count(marks, "items") == 3 + 2 + 2, "the one that was left early begins anew"


def test_steps_are_actions_below_their_task(house: House, marks: str) -> None:
    run = house.finish(tracing.traced, marks)
    traces = [a for a in run.actions() if a.kind == "trace"]
    assert {a.parent_id for a in traces} == {"a0"}
    plain = [a for a in traces if a.task == "plain"]
    assert len({a.action_id for a in plain}) == 5
    assert {a.phase for a in plain} == {ActionPhase.SUCCEEDED}
    assert all(a.inputs and a.outputs and a.started_us and a.ended_us for a in plain)
    (broken,) = [a for a in traces if a.task == "breaks_for_good"]
    assert (broken.phase, broken.is_final_error) == (ActionPhase.FAILED, True)
    (mended,) = [a for a in traces if a.task == "breaks"]
    assert mended.phase is ActionPhase.SUCCEEDED


def test_steps_work_in_sync_tasks(house: House, marks: str) -> None:
    assert house.result(tracing.traced_plainly, marks) == [3, ["0", "1"], 2]
    assert [count(marks, name) for name in ("sync", "sync_items", "plain")] == [1, 2, 1]


def test_no_task_inside_a_step(house: House) -> None:
    run = house.finish(tracing.asks_traces)
    run.raise_for_status()
    refused, again, forwarded, (action, task_action), own = run.outputs()[0]
    assert refused == again == "TraceDoesNotAllowNestedTasksError"
    assert forwarded == "child"
    assert own == task_action == "a0"
    assert action in {a.action_id for a in run.actions() if a.task == "where"}


def test_outside_of_a_task_steps_are_plain(marks: str) -> None:
    assert asyncio.run(tracing.plain(marks, 1)) == 2
    assert tracing.sync(marks, 1) == 3
    assert list(tracing.sync_items(marks, 1)) == ["0"]
