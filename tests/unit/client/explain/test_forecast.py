"""What a run would do, told without running anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.client.explain.forecast import Forecast, forecast
from flyte_ray.client.session import Session, current_session
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import CITIES, command, run

__all__ = ["flyte_local"]

PUNE = "Pune-somewhere-in-the-plains-of-india"


def told(task: Any = flows.climate, **inputs: Any) -> Forecast:
    return forecast(current_session(), task, inputs)


def verdicts(found: Forecast) -> dict[tuple[str, str], int]:
    return {(s.task.removeprefix("flows."), s.verdict): s.count for s in found.steps}


def test_without_history_only_the_root_is_known(flyte_local: LocalHarness) -> None:
    found = told(cities=CITIES)
    assert found.basis is None
    assert verdicts(found) == {("climate", "runs"): 1}


def test_the_same_run_again_is_answered_below_the_root(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    found = told(cities=CITIES)
    assert found.basis == "one"
    assert verdicts(found) == {
        ("climate", "runs"): 1,
        ("fetch", "cached"): 2,
        ("mean", "cached"): 1,
        ("scale", "cached"): 1,
    }


def test_a_root_that_is_cached_answers_for_all(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one", flows.fetch, "Oslo")
    found = told(flows.fetch, city="Oslo")
    assert [(step.verdict, step.reason) for step in found.steps] == [("cached", "by one/a0")]
    assert found.work_s == 0


def test_a_new_element_runs_and_what_gathers_it_depends(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    counted = verdicts(told(cities=[*CITIES, PUNE]))
    assert counted[("fetch", "cached")] == 2
    assert counted[("fetch", "new")] == 1
    assert counted[("mean", "depends")] == 1
    assert counted[("scale", "depends")] == 1


def test_an_element_that_is_gone_is_not_called(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    counted = verdicts(told(cities=CITIES[:1]))
    assert counted[("fetch", "cached")] == 1
    assert counted[("mean", "depends")] == 1


def test_inputs_that_were_renamed_are_named(flyte_local: LocalHarness) -> None:
    async def survey(cities: list[str]) -> int:
        return len(await asyncio.gather(*(flows.fetch(city) for city in cities)))

    run(flyte_local, "one", flyte.TaskEnvironment(name="renamed").task(survey))

    async def survey(towns: list[str]) -> int:  # type: ignore[no-redef]  # edited meanwhile
        return len(await asyncio.gather(*(flows.fetch(town) for town in towns)))

    edited = flyte.TaskEnvironment(name="renamed").task(survey)
    found = told(edited, towns=[CITIES[0], PUNE])
    assert found.basis == "one"
    root, *below = found.steps
    assert root.reason == "not cached; other inputs than in one: cities gone, towns new"
    assert [(step.task, step.verdict, step.count) for step in below] == [
        ("flows.fetch", "cached", 1)
    ]


def test_without_the_cache_everything_runs(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    found = forecast(current_session(), flows.climate, {"cities": CITIES}, uses_cache=False)
    assert found.count("cached") == 0
    assert found.count("runs") == 5
    assert found.work_s > 0


def test_nothing_is_written(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    before = {path for path in flyte_local.store.rglob("*") if path.is_file()}
    told(cities=["x" * 50_000])
    assert {path for path in flyte_local.store.rglob("*") if path.is_file()} == before


def test_a_wrong_argument_is_refused_as_a_run_would(flyte_local: LocalHarness) -> None:
    assert isinstance(current_session(), Session)
    with pytest.raises(TypeError, match="citis"):
        told(citis=CITIES)


def test_the_command_takes_the_options_of_run(
    flyte_local: LocalHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    run(flyte_local, "one", flows.fetch, "Oslo")
    capsys.readouterr()
    root, file = Path(__file__).resolve().parents[4], Path(flows.__file__)
    arguments = ["plan", "--root-dir", str(root), str(file), "fetch", "--city"]
    assert command(flyte_local, *arguments, "Oslo") == 0
    assert "answered from the cache" in capsys.readouterr().out
    assert command(flyte_local, *arguments, "Lima", "-o", "json") == 0
    assert '"verdict": "runs"' in capsys.readouterr().out
    assert command(flyte_local, "plan", str(file), "nothing") == 2
