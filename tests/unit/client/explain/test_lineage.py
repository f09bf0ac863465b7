"""From any value back to what it came from, and forward to what was made of it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import flyte_ray as flyte
from flyte_ray.client.explain.lineage import Graph, lineage
from flyte_ray.client.explain.origins import Place
from flyte_ray.errors import ActionNotFoundError, RunNotFoundError, UnsupportedValueError
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import blobs_of, run

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="lin")


@env.task
async def number(n: int) -> int:
    return n


@env.task
async def total(values: list[int]) -> int:
    return sum(values)


@env.task
async def fan(top: int) -> int:
    return await total(list(await asyncio.gather(*(number(1000 + n) for n in range(top)))))


@env.task
async def same(n: int) -> float:
    return 12.5


@env.task
async def sum_of(values: list[float]) -> float:
    return sum(values)


@env.task
async def alike(top: int) -> float:
    return await sum_of(list(await asyncio.gather(*(same(n) for n in range(top)))))


@env.task
async def again(n: int) -> int:
    return n


@env.task
async def through(n: int) -> int:
    return await again(await number(n))


@env.task
async def by_chance(top: int) -> int:
    await number(3)
    return await total([3, 4])


@env.task
async def array(n: int) -> np.ndarray:
    return np.arange(n)


@env.task
async def norm(matrix: np.ndarray) -> float:
    return float(matrix.sum())


@env.task
async def arrays() -> float:
    first = await array(5)
    return await norm(first) + await norm(await array(6))


def steps(graph: Graph) -> set[tuple[str, str, str]]:
    """Kind, source and target by the names of their tasks."""

    def named(place: Place) -> str:
        task = graph.actions[place.run, place.action].name
        return f"{task}.{place.name}{place.element}"

    return {(kind, named(source), named(target)) for kind, source, target in graph.edges()}


def test_an_output_leads_back_to_the_inputs_of_the_run(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    found = steps(lineage(blobs_of(flyte_local), "one"))
    assert {
        ("control", "scale.o0", "climate.o0"),
        ("task", "scale.value", "scale.o0"),
        ("data", "mean.o0", "scale.value"),
        ("task", "mean.readings", "mean.o0"),
        ("data", "fetch.o0", "mean.readings[0]"),
        ("data", "fetch.o0", "mean.readings[1]"),
        ("task", "fetch.city", "fetch.o0"),
        ("data", "climate.cities[0]", "fetch.city"),
        ("data", "climate.cities[1]", "fetch.city"),
    } <= found


def test_an_element_leads_back_to_the_one_call_that_made_it(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    graph = lineage(blobs_of(flyte_local), "one/mean/readings[1]")
    assert ("data", "climate.cities[1]", "fetch.city") in steps(graph)
    assert ("data", "climate.cities[0]", "fetch.city") not in steps(graph)


def test_a_cached_result_leads_into_the_run_that_computed_it(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    run(flyte_local, "two")
    graph = lineage(blobs_of(flyte_local), "two/scale")
    assert ("cache", "scale.o0", "scale.o0") in steps(graph)
    assert {place.run for place in graph.links} == {"one", "two"}


def test_a_value_leads_forward_into_runs_that_took_results_over(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    run(flyte_local, "two")
    graph = lineage(blobs_of(flyte_local), "one/a0/cities[0]", forward=True)
    found = steps(graph)
    assert ("data", "fetch.o0", "mean.readings[0]") in found
    assert ("cache", "fetch.o0", "fetch.o0") in found
    assert ("control", "scale.o0", "climate.o0") in found
    assert not any("cities[1]" in step[1] for step in found)


def test_numbers_that_were_gathered_join_by_identity(flyte_local: LocalHarness) -> None:
    run(flyte_local, "fan", fan, 3)
    found = steps(lineage(blobs_of(flyte_local), "fan"))
    joined = {target for kind, source, target in found if (kind, source) == ("data", "number.o0")}
    assert joined == {"total.values[0]", "total.values[1]", "total.values[2]"}


def test_equal_numbers_that_were_gathered_join_in_the_order_of_their_calls(
    flyte_local: LocalHarness,
) -> None:
    run(flyte_local, "same", alike, 3)
    graph = lineage(blobs_of(flyte_local), "same")
    sources = [a.action for kind, a, b in graph.edges() if kind == "data" and b.element]
    assert len(sources) == len(set(sources)) == 3


def test_a_number_that_was_handed_through_came_from_the_last_call(
    flyte_local: LocalHarness,
) -> None:
    run(flyte_local, "through", through, 1000)
    found = steps(lineage(blobs_of(flyte_local), "through"))
    assert ("data", "again.o0", "through.o0") in found
    assert ("data", "number.o0", "through.o0") not in found


def test_numbers_that_are_equal_by_chance_do_not_join(flyte_local: LocalHarness) -> None:
    run(flyte_local, "chance", by_chance, 3)
    found = steps(lineage(blobs_of(flyte_local), "chance"))
    assert ("data", "number.o0", "total.values[0]") not in found
    assert ("control", "by_chance.top", "total.values") in found


def test_arrays_join_by_content(flyte_local: LocalHarness) -> None:
    flyte_local.run_with({"name": "arrays"}, arrays)
    graph = lineage(blobs_of(flyte_local), "arrays")
    joined = [(a.action, b.action) for kind, a, b in graph.edges() if kind == "data"]
    assert len(joined) == len(set(joined)) == 2


def test_what_is_not_there_is_told_with_what_is(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    blobs = blobs_of(flyte_local)
    with pytest.raises(RunNotFoundError, match="no run 'none'"):
        lineage(blobs, "none")
    with pytest.raises(ActionNotFoundError, match="Did you mean 'mean'"):
        lineage(blobs, "one/meann")
    with pytest.raises(ActionNotFoundError, match="2 actions for 'fetch'"):
        lineage(blobs, "one/fetch")
    with pytest.raises(UnsupportedValueError, match="it has o0, readings"):
        lineage(blobs, "one/mean/o7")
    run(flyte_local, "bad", flows.fragile, ["x"], 1.0)
    with pytest.raises(UnsupportedValueError, match="is failed and has no outputs"):
        lineage(blobs, "bad")
