"""One task over many inputs (item 1, §14)."""

from __future__ import annotations

from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, children
from tests.integration.contract.tasks import mapping
from tests.integration.contract.tasks.marks import wait_for


def test_results_come_in_the_order_of_the_inputs(house: House) -> None:
    run = house.finish(mapping.maps)
    assert run.outputs()[0] == {
        "async": [0, 1, 4, 9, 16],
        "sync in async": [9, 4],
        "partial": [10, 20],
        "named": [11, 21],
        "zipped": [4, 10],
        "overridden": [36],
        "empty": [],
        "grouped": [49],
    }
    groups = {a.group for a in children(run, "square")}
    assert groups == {"contract_mapping.square_map", "contract_mapping.square_named"}
    assert house.result(mapping.maps_plainly) == [[1, 4], [2, 4]]


def test_failures_are_values_unless_asked_otherwise(house: House) -> None:
    found = house.result(mapping.maps_with_failures)
    assert found["values"] == [1, ["ValueError", "-2 is negative"], 9]
    assert found["sum"] == "-2 is negative"
    assert found["raised"] == [[1], "ValueError"]
    missing, no_task, doubled = found["wrong"]
    assert "misses a value for 'x'" in missing
    assert "needs a task" in no_task
    assert "'factor'" in doubled


def test_concurrency_bounds_how_many_run_at_once(house: House, marks: str) -> None:
    running = house.result(mapping.maps_a_few_at_once, marks)
    assert len(running) == 8
    assert max(running) <= 2


def test_items_run_side_by_side(house: House, marks: str) -> None:
    assert house.result(mapping.maps_side_by_side, marks) == [1, 2, 3]


def test_leaving_early_cancels_the_rest(house: House, marks: str) -> None:
    run = house.finish(mapping.leaves_early, marks)
    assert run.outputs()[0] == 0
    wait_for(marks, "cancelled", 2)
    phases = sorted(a.phase for a in children(run))
    assert phases == [ActionPhase.ABORTED, ActionPhase.ABORTED, ActionPhase.SUCCEEDED]
