"""`map`: order, failures, concurrency, early exits, partials."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.errors import TraceDoesNotAllowNestedTasksError
from tests.unit.author.fake_controller import FakeController, in_action

env = flyte.TaskEnvironment(name="mapped")


@env.task
async def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    await asyncio.sleep(0)
    return x * x


@env.task
def add(x: int, y: int = 0, z: int = 0) -> int:
    return x + y + z


@env.task
async def last_come_first(x: int) -> int:
    """Ends in the reverse order of beginning."""
    for _ in range(10 - x):
        await asyncio.sleep(0)
    return x


@env.task
async def needs_two(x: int, y: int) -> int:
    return x + y


async def collect(results: AsyncIterator[Any]) -> list[Any]:
    return [result async for result in results]


# -------------------------------------------------------------------------------------- results


def test_results_come_in_input_order_in_both_forms() -> None:
    with in_action():
        assert asyncio.run(collect(flyte.map.aio(last_come_first, range(6)))) == [*range(6)]
        assert list(flyte.map(last_come_first, range(6))) == [*range(6)]


def test_sync_tasks_are_mapped_from_sync_and_async_bodies() -> None:
    async def body() -> list[Any]:
        return list(flyte.map(add, [1, 2], [10, 20]))

    with in_action() as controller:
        assert list(flyte.map(add, [1, 2], [10, 20])) == [11, 22]
        assert asyncio.run(body()) == [11, 22]
        assert asyncio.run(collect(flyte.map.aio(add, [1, 2]))) == [1, 2]
    assert len(controller.asked) == 6


def test_the_shortest_input_ends_it_and_none_is_empty() -> None:
    with in_action():
        assert list(flyte.map(add, [1, 2, 3], itertools.count())) == [1, 3, 5]
        assert list(flyte.map(add)) == []
        assert list(flyte.map(add, [])) == []


def test_an_overridden_task_is_mapped_with_its_options() -> None:
    with in_action() as controller:
        list(flyte.map(square.override(retries=4), [1]))
    assert controller.asked[0].options.retries.count == 4


@pytest.mark.parametrize(("given", "shown"), [(None, "map"), ("files", "files")])
def test_children_are_in_a_group_named_after_the_task(given: str | None, shown: str) -> None:
    async def body() -> None:
        with flyte.group("outer"):
            async for _ in flyte.map.aio(square, [1, 2], group_name=given):
                here = flyte.ctx().group_data
                assert here is not None
                assert here.name == "outer"

    with in_action() as controller:
        asyncio.run(body())
        list(flyte.map(square, [3], group_name=given))
    assert {each.group for each in controller.asked} == {f"mapped.square_{shown}"}


# ------------------------------------------------------------------------------------- failures


def test_failures_are_results_by_default() -> None:
    with in_action():
        for results in (
            asyncio.run(collect(flyte.map.aio(square, [1, -1, 2]))),
            list(flyte.map(square, [1, -1, 2])),
        ):
            assert results[::2] == [1, 4]
            assert isinstance(results[1], ValueError)


def test_the_first_failing_position_raises_and_the_rest_is_cancelled() -> None:
    gate = flyte.TaskEnvironment(name="gate")

    @gate.task
    async def fail_or_wait(x: int) -> int:
        if x == 1:
            raise ValueError("one")
        if x > 1:
            await asyncio.Event().wait()
        return x

    async def body() -> list[Any]:
        seen = []
        with pytest.raises(ValueError, match="one"):
            async for result in flyte.map.aio(fail_or_wait, range(4), return_exceptions=False):
                seen.append(result)  # noqa: PERF401  what came before the failure counts
        return seen

    with in_action() as controller:
        assert asyncio.run(body()) == [0]
        assert (controller.running, len(controller.cancelled)) == (0, 2)
    with in_action() as controller:
        results = flyte.map(fail_or_wait, range(4), return_exceptions=False)
        assert next(results) == 0
        with pytest.raises(ValueError, match="one"):
            next(results)
        assert (controller.running, len(controller.cancelled)) == (0, 2)


def test_leaving_the_loop_early_cancels_the_rest() -> None:
    endless = flyte.TaskEnvironment(name="endless")

    @endless.task
    async def first_only(x: int) -> int:
        if x:
            await asyncio.Event().wait()
        return x

    async def body() -> None:
        results = flyte.map.aio(first_only, range(3))
        async for _ in results:
            break
        await results.aclose()  # type: ignore[attr-defined]

    with in_action() as controller:
        asyncio.run(body())
        assert len(controller.cancelled) == 2
        for _ in flyte.map(first_only, range(3)):
            break
        assert len(controller.cancelled) == 4


# ---------------------------------------------------------------------------------- concurrency


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_than_that_many_run_at_once(concurrency: int) -> None:
    with in_action() as controller:
        results = asyncio.run(
            collect(flyte.map.aio(last_come_first, range(9), concurrency=concurrency))
        )
        assert results == [*range(9)]
        assert controller.most_running == concurrency
    with in_action() as controller:
        assert list(flyte.map(last_come_first, range(9), concurrency=concurrency)) == [*range(9)]
        assert controller.most_running <= concurrency


def test_all_run_at_once_without_a_limit() -> None:
    with in_action() as controller:
        asyncio.run(collect(flyte.map.aio(square, range(20))))
    assert controller.most_running == 20


def test_inputs_are_taken_as_calls_are_begun() -> None:
    taken = []

    def inputs() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    async def body() -> None:
        results = flyte.map.aio(square, inputs(), concurrency=2)
        for handed_out in range(1, 6):
            await anext(results)
            assert len(taken) <= handed_out + 4
        await results.aclose()  # type: ignore[attr-defined]

    with in_action():
        asyncio.run(body())
        taken.clear()
        assert list(itertools.islice(flyte.map(square, inputs(), concurrency=2), 3)) == [0, 1, 4]
        assert len(taken) <= 3 + 4


def test_a_slow_head_does_not_stop_the_others_at_once() -> None:
    slow = flyte.TaskEnvironment(name="slow")
    release = threading.Event()
    others = []

    @slow.task
    async def head_waits(x: int) -> int:
        if x == 0:
            while not release.is_set():
                await asyncio.sleep(0)
        others.append(x)
        if len(others) == 2:
            release.set()
        return x

    with in_action():
        assert list(flyte.map(head_waits, range(3), concurrency=2)) == [0, 1, 2]
    assert others[:2] == [1, 2]


def test_inputs_that_call_sync_tasks_themselves_work_in_the_blocking_form() -> None:
    with in_action() as controller:
        assert list(flyte.map(square, (add(n) for n in range(3)))) == [0, 1, 4]
    assert len(controller.asked) == 6


def test_a_negative_concurrency_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrency"):
        flyte.map(square, [1], concurrency=-1)


# ------------------------------------------------------------------------------------- partials


def test_partials_leave_the_mapped_parameter_open() -> None:
    with in_action() as controller:
        assert list(flyte.map(functools.partial(add, y=10), [1, 2])) == [11, 12]
        assert list(flyte.map(functools.partial(add, 5, z=1), [1, 2])) == [7, 8]
        assert list(flyte.map(functools.partial(add.override(retries=1), y=1), [1])) == [2]
    assert controller.asked[0].group == "mapped.add_map"


@pytest.mark.parametrize(
    ("func", "columns", "names"),
    [
        (functools.partial(add, x=1), 1, "'x'"),
        (functools.partial(add, q=1), 1, "'q'"),
        (functools.partial(add, 1, 2, 3), 1, "3 positional"),
        (needs_two, 1, "'y'"),
        (functools.partial(needs_two, y=2), 2, "'y'"),
        (add, 4, "3 positional"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_at_once(
    func: Any, columns: int, names: str
) -> None:
    with in_action(), pytest.raises(TypeError, match=names):
        flyte.map(func, *[[1]] * columns)
    with in_action(), pytest.raises(TypeError, match=names):
        flyte.map.aio(func, *[[1]] * columns)


@pytest.mark.parametrize("func", [len, functools.partial(len), 3])
def test_only_tasks_are_mapped(func: Any) -> None:
    with pytest.raises(TypeError, match="task"):
        flyte.map(func, [[1]])


# ------------------------------------------------------------------------------ outside a task


def test_outside_items_run_one_after_another() -> None:
    order: list[str] = []
    plain = flyte.TaskEnvironment(name="plain")

    @plain.task
    async def note(x: int) -> int:
        order.append(f"begin {x}")
        await asyncio.sleep(0)
        order.append(f"end {x}")
        if x == 1:
            raise ValueError("one")
        return x

    async def body() -> list[Any]:
        return [*flyte.map(note, [0, 1])]

    expected = ["begin 0", "end 0", "begin 1", "end 1"]
    for form in (
        lambda: list(flyte.map(note, [0, 1])),
        lambda: asyncio.run(collect(flyte.map.aio(note, [0, 1]))),
        lambda: asyncio.run(body()),
    ):
        results = form()
        assert results[0] == 0
        assert isinstance(results[1], ValueError)
        assert order == expected
        order.clear()
    assert list(flyte.map(add, [1, 2])) == [1, 2]
    with pytest.raises(ValueError, match="one"):
        list(flyte.map(note, [1], return_exceptions=False))
    with pytest.raises(ValueError, match="one"):
        asyncio.run(collect(flyte.map.aio(note, [1], return_exceptions=False)))


def test_in_a_trace_it_is_refused() -> None:
    with (
        in_action(FakeController(), in_trace=True),
        pytest.raises(TraceDoesNotAllowNestedTasksError),
    ):
        flyte.map(add, [1])
