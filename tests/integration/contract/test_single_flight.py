"""`Cache(serialize=True)`: of any number of callers in any number of runs exactly one computes."""

from __future__ import annotations

from tests.integration.contract.house import House, children, ended
from tests.integration.contract.tasks import flying
from tests.integration.contract.tasks.marks import count, leave, wait_for


def test_of_equal_calls_of_one_run_one_computes_and_all_get_its_value(
    house: House, marks: str
) -> None:
    run = house.finish(flying.asks_often, marks, 9, 3)
    run.raise_for_status()
    values = run.outputs()[0]
    assert count(marks, "once") == 3
    assert len(set(values)) == 3
    assert [value.split("-")[0] for value in values] == ["0", "1", "2"] * 3
    calls = children(run, "once")
    assert len(calls) == 9
    assert sum(each.cached for each in calls) == 6
    assert all(each.attempts == () for each in calls if each.cached)


def test_of_runs_that_ask_at_the_same_time_one_computes(house: House, marks: str) -> None:
    first = house.start(flying.asks_for_the_slow_one, marks)
    wait_for(marks, "begun")
    second = house.start(flying.asks_for_the_slow_one, marks)
    third = house.start(flying.asks_for_the_slow_one, marks)
    leave(marks, "go")
    values = {ended(run).outputs()[0] for run in (first, second, third)}
    assert len(values) == 1
    assert count(marks, "begun") == 1


def test_a_later_run_is_answered_by_the_cache(house: House, marks: str) -> None:
    (value,) = house.result(flying.asks_often, marks, 1)
    assert house.result(flying.asks_often, marks, 4) == [value] * 4
    assert count(marks, "once") == 1


def test_when_the_holder_fails_another_one_computes(house: House, marks: str) -> None:
    told = house.result(flying.asks_for_the_failing_one, marks)
    assert told == ["an error", "the second one succeeds"]
    assert count(marks, "tried") == 2


def test_when_the_holder_is_cancelled_another_one_computes(house: House, marks: str) -> None:
    assert len(house.result(flying.gives_up, marks)) == 32
    assert count(marks, "begun") == 2


def test_when_the_run_of_the_holder_is_aborted_another_one_computes(
    house: House, marks: str
) -> None:
    first = house.start(flying.asks_for_the_slow_one, marks)
    wait_for(marks, "begun")
    second = house.start(flying.asks_for_the_slow_one, marks)
    first.abort("no longer wanted")
    ended(first)
    wait_for(marks, "begun", 2)
    leave(marks, "go")
    ended(second).raise_for_status()
    assert count(marks, "begun") == 2
