"""`@trace`: recorded once, replayed by later attempts, transparent outside."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.author.trace import _interface_of
from flyte_ray.errors import TraceDoesNotAllowNestedTasksError
from tests.unit.author.fake_controller import in_action

ran: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    ran.clear()


@flyte.trace
async def fetch(x: int, *, y: int = 1) -> int:
    """Fetch something."""
    ran.append(x)
    if x < 0:
        raise ValueError("negative")
    return x + y


@flyte.trace
def parse(text: str) -> str:
    ran.append(text)
    if not text:
        raise KeyError("empty")
    return text.upper()


@flyte.trace
def nothing() -> None:
    ran.append("nothing")


@flyte.trace
def unannotated(x):  # type: ignore[no-untyped-def]
    ran.append(x)
    return x


@flyte.trace
async def stream(n: int) -> AsyncIterator[int]:
    for number in range(n):
        ran.append(number)
        if number == 3:
            raise ValueError("three")
        yield number


@flyte.trace
def numbers(n: int) -> Iterator[int]:
    for number in range(n):
        ran.append(number)
        if number == 3:
            raise ValueError("three")
        yield number


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def test_outside_a_task_it_is_transparent() -> None:
    assert asyncio.run(fetch(1, y=2)) == 3
    assert parse("a") == "A"
    assert asyncio.run(collect(stream(2))) == [0, 1]
    assert list(numbers(2)) == [0, 1]
    with pytest.raises(ValueError, match="negative"):
        asyncio.run(fetch(-1))


def test_a_traced_function_looks_like_its_own() -> None:
    assert fetch.__name__ == "fetch"
    assert fetch.__doc__ == "Fetch something."
    assert inspect.iscoroutinefunction(fetch)
    assert inspect.isasyncgenfunction(stream)
    assert inspect.isgeneratorfunction(numbers)


def test_a_second_attempt_is_answered_from_the_record() -> None:
    def body() -> list[Any]:
        return [
            asyncio.run(fetch(1)),
            parse("a"),
            nothing(),
            unannotated(7),
            asyncio.run(collect(stream(3))),
            list(numbers(3)),
        ]

    with in_action() as controller:
        first = body()
        done = len(ran)
        controller.next_attempt()
        assert body() == first == [2, "A", None, 7, [0, 1, 2], [0, 1, 2]]
    assert len(ran) == done


def test_equal_calls_are_steps_of_their_own() -> None:
    with in_action():
        parse("a")
        parse("a")
    assert ran == ["a", "a"]


def test_errors_pass_as_they_are_and_are_recorded() -> None:
    with in_action() as controller:
        with pytest.raises(ValueError, match="negative") as first:
            asyncio.run(fetch(-1))
        with pytest.raises(KeyError) as second:
            parse("")
    assert controller.traced["failed"] == [("fetch", first.value), ("parse", second.value)]


def test_arguments_are_bound_before_anything_runs() -> None:
    with in_action(), pytest.raises(TypeError, match="wrong"):
        parse(wrong=1)  # type: ignore[call-arg]
    assert ran == []


def test_a_generator_that_fails_midway_is_not_done() -> None:
    with in_action() as controller:
        with pytest.raises(ValueError, match="three"):
            asyncio.run(collect(stream(5)))
        with pytest.raises(ValueError, match="three"):
            list(numbers(5))
    assert [name for name, _ in controller.traced.pop("failed")] == ["stream", "numbers"]
    assert controller.traced == {}


def test_a_generator_that_is_left_early_is_closed_and_not_recorded() -> None:
    closed = []

    @flyte.trace
    def careful() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    with in_action() as controller:
        items = careful()
        assert next(items) == 1
        items.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert controller.traced == {}


def test_the_consumer_between_two_items_is_not_inside_the_trace() -> None:
    @flyte.trace
    def inside() -> Iterator[str]:
        yield flyte.ctx().action.name
        yield flyte.ctx().action.name

    with in_action():
        for name in inside():
            assert name == "trace-inside"
            assert flyte.ctx().action.name == "a0"


def test_inside_a_trace_the_action_is_the_step() -> None:
    @flyte.trace
    def where() -> list[str]:
        return [flyte.ctx().action.name, flyte.ctx().task_action.name]

    with in_action():
        assert where() == ["trace-where", "a0"]


def test_traces_nest_but_tasks_do_not_enter() -> None:
    env = flyte.TaskEnvironment(name="traced")

    @env.task
    def task() -> int:
        return 1

    @flyte.trace
    def outer(*, forward: bool) -> int:
        return int(parse("1")) + (task.forward() if forward else task())

    with in_action():
        assert outer(forward=True) == 2
        with pytest.raises(TraceDoesNotAllowNestedTasksError):
            outer(forward=False)


def test_a_sync_trace_works_in_an_async_body() -> None:
    async def body() -> str:
        return parse("b")

    with in_action():
        assert asyncio.run(body()) == "B"


def test_generators_are_recorded_as_lists() -> None:
    def untyped():  # type: ignore[no-untyped-def]
        yield 1

    assert _interface_of(stream).outputs == {"o0": list[int]}
    assert _interface_of(numbers).outputs == {"o0": list[int]}
    assert _interface_of(untyped).outputs == {"o0": list[Any]}
    assert _interface_of(nothing).outputs == {}
    assert _interface_of(unannotated).outputs == {"o0": Any}


def test_what_cannot_be_traced_is_refused() -> None:
    env = flyte.TaskEnvironment(name="refused")
    with pytest.raises(TypeError, match=r"'refused\.nothing' is a task"):
        flyte.trace(env.task(nothing))
    with pytest.raises(TypeError, match="function"):
        flyte.trace(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="args"):

        @flyte.trace
        def variadic(*args: int) -> None: ...
