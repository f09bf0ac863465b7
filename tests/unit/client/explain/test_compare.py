"""Where two runs part."""

from __future__ import annotations

import pytest

import flyte_ray as flyte
from flyte_ray.client.explain.compare import Comparison, compare
from flyte_ray.errors import RunNotFoundError
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import CITIES, blobs_of, command, run

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="dice", cache="disable")
_rolls = iter(range(1000, 2000))


@env.task
async def roll(sides: int) -> int:
    return next(_rolls)


@env.task
async def game(sides: int) -> int:
    return await roll(sides)


@env.task
async def rounds(count: int) -> int:
    return sum([await roll(number) for number in range(count)])


def compared(local: LocalHarness, *names: str) -> Comparison:
    return compare(blobs_of(local), *names)


def test_equal_runs_agree(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    run(flyte_local, "two")
    found = compared(flyte_local, "one", "two")
    assert (found.first, found.others) == (None, [])
    assert (found.before.ran, found.before.cached) == (5, 0)
    assert (found.after.ran, found.after.cached) == (1, 4)
    calls = {each.task: (each.before_calls, each.after_calls) for each in found.tasks}
    assert calls["flows.fetch"] == (2, 2)


def test_inputs_that_differ_are_named_at_the_root(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one", flows.fragile, CITIES, 100.0)
    run(flyte_local, "two", flows.fragile, CITIES, 1.0)
    found = compared(flyte_local, "one", "two")
    assert found.first is not None
    assert (found.first.task, found.first.reasons) == ("flows.fragile", ("inputs", "status"))
    assert [(d.name, d.before, d.after) for d in found.differences] == [("limit", "100.0", "1.0")]
    assert [each.task for each in found.others] == ["flows.guard"]


def test_a_child_that_rolled_another_number_is_the_first_difference(
    flyte_local: LocalHarness,
) -> None:
    run(flyte_local, "one", game, 6)
    run(flyte_local, "two", game, 6)
    found = compared(flyte_local, "one", "two")
    assert found.first is not None
    assert (found.first.task, found.first.reasons) == ("dice.roll", ("outputs",))
    assert [d.kind for d in found.differences] == ["output"]
    assert found.others == []


def test_calls_that_one_run_lacks_are_told(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one", rounds, 1)
    run(flyte_local, "two", rounds, 2)
    found = compared(flyte_local, "one", "two")
    assert [each.reasons for each in found.others] == [("outputs",), ("new",)]


def test_an_unknown_run_is_refused(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    with pytest.raises(RunNotFoundError, match="no run 'none'"):
        compared(flyte_local, "one", "none")


def test_the_command_shows_both_sides(
    flyte_local: LocalHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    run(flyte_local, "one", flows.fragile, CITIES, 100.0)
    run(flyte_local, "two", flows.fragile, CITIES, 1.0)
    capsys.readouterr()
    assert command(flyte_local, "diff", "one", "two") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["status", "succeeded", "failed"] in lines
    assert ["They", "part", "first", "at", "flows.fragile", "a0", "(inputs,", "status):"] in lines
    assert ["input", "limit", "100.0", "→", "1.0"] in lines
    assert command(flyte_local, "diff", "one", "two", "-o", "json") == 0
