"""Tasks call tasks: sync and async, to any depth, by value, with checked types (item 1)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

import flyte_ray as flyte
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, children, ended, only, phases
from tests.integration.contract.tasks import calls
from tests.integration.contract.tasks.marks import count


def test_sync_and_async_tasks_nest_in_all_four_ways(house: House) -> None:
    run = house.finish(calls.nested, x=5)
    run.raise_for_status()
    assert run.outputs()[0] == [[10, 10, 15], [15, 10, 10, 15], []]
    assert len(run.actions()) == 1 + 2 + 3 + 4
    assert phases(run) == {ActionPhase.SUCCEEDED: 10}


def test_a_sync_root_calls_both_kinds(house: House) -> None:
    assert house.result(calls.nested_sync, 2) == [[6, 4, 4, 6], [4, 4, 6]]


def test_asyncio_tools_work_on_calls(house: House, marks: str) -> None:
    found = house.result(calls.with_asyncio, marks)
    assert found == {
        "gather": [0, 2, 4, 6],
        "completed": [0, 2, 4, 6],
        "in_time": [10],
        "group": [0, 2, 4],
        "wait": [14],
    }
    assert count(marks, "never") == 0


def test_defaults_are_filled_in_and_ints_widen(house: House) -> None:
    assert house.result(calls.calls_defaults) == ["1 2 c None", "1 3 x None", "1 2 c 2.0"]


def test_values_cross_tasks_by_value(house: House) -> None:
    assert house.result(calls.keeps_its_own) == [[1], [1, 99], [1]]


def test_outputs_come_as_declared(house: House) -> None:
    run = house.finish(calls.takes_outputs)
    assert run.outputs()[0] == [1, "r", "Pair", 1, "two", None]
    pair = house.finish(calls.pair).outputs()
    assert tuple(pair) == (1, "r")
    assert pair.named_outputs == {"left": 1, "right": "r"}
    two = house.finish(calls.two).outputs()
    assert (two[0], two.o1) == (1, "two")


def test_a_task_without_outputs_gives_a_tuple_with_none(house: House) -> None:
    outputs = house.finish(calls.nothing).outputs()
    assert outputs == (None,)
    assert outputs.named_outputs == {}


def test_a_wrong_result_is_a_validation_error_that_is_not_retried(house: House) -> None:
    for task in (calls.wrong_result, calls.undeclared_result):
        run = house.finish(task.override(retries=3))
        with pytest.raises(flyte.errors.RuntimeDataValidationError):
            run.raise_for_status()
        assert len(only(run, task.short_name).attempts) == 1
    assert house.result(calls.lets_the_result_error_through) == "DataValidationError"


def test_a_wrong_call_inside_a_task_names_task_and_parameter(house: House) -> None:
    found = house.result(calls.wrong_arguments)
    assert set(found) == {"type", "unknown", "missing", "many"}
    assert "'x'" in found["type"] and "double" in found["type"]
    assert "'y'" in found["unknown"]
    assert "'x'" in found["missing"]
    assert "1 positional" in found["many"]


def test_env_vars_come_from_environment_clone_override_and_run(house: House) -> None:
    run = house.runner(env_vars={"FROM_RUN": "run"}).run(calls.variables)
    assert ended(run).outputs()[0] == ["env", "clone", "override", "run"]


def test_forward_makes_no_action(house: House) -> None:
    run = house.finish(calls.goes_round, 4)
    assert run.outputs()[0] == [8, 12, 8]
    assert children(run) == []


def test_tasks_travel_as_inputs(house: House) -> None:
    assert house.result(calls.hands_tasks_on) == [[4, 4], [6, 6]]


def test_ctx_group_and_custom_context(house: House) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    runner = house.runner(custom_context={"run": "base"}, run_start_time=began)
    run = ended(runner.run(calls.shows_where))
    run.raise_for_status()
    outside, inner, told, plain, own, threads = run.outputs()[0]
    assert (outside, own) == ("outer", "a0")
    assert inner["there"] and inner["run"] == run.name and inner["mode"] == house.mode
    assert inner["in_cluster"] is (house.mode == "remote")
    assert inner["action"] == inner["task_action"]
    assert (inner["attempt"], inner["data"]) == (0, None)
    # Attempts that share one process share its variables, so only `ctx` can say it there.
    assert inner["attempt_variable"] == ("0" if house.mode == "remote" else None)
    assert inner["group"] is None, "the group belongs to the caller"
    assert datetime.fromisoformat(inner["started"]) == began
    assert told["context"] == {"team": "vision", "run": "block"}
    assert plain["context"] == {"run": "base"}
    assert len({inner["key"], told["key"], plain["key"]}) == 3
    assert str(house.store) in plain["base"]
    assert threads[0] == threads[1] == only(run, "whereabouts_in_threads").action_id

    groups = {a.action_id: a.group for a in children(run)}
    assert groups[inner["action"]] == "inner"
    assert [a.group for a in children(run, "double")] == ["later", "later"]
    assert groups[plain["action"]] is None


def test_outside_of_a_run_tasks_are_plain_functions() -> None:
    assert calls.triple(2) == 6
    assert asyncio.run(calls.double(2)) == 4
    assert asyncio.run(calls.triple.aio(2)) == 6
    assert not flyte.ctx()
    assert flyte.ctx().action is None
