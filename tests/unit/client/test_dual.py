from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from flyte_ray.client.dual import blocking, classwide, on_a_thread

marked: ContextVar[str] = ContextVar("marked", default="unset")


@blocking
def double(x: int) -> int:
    """Twice as much."""
    if x < 0:
        raise ValueError("no")
    return 2 * x


class Thing:
    def __init__(self, name: str) -> None:
        self.name = name

    @blocking
    def greet(self, word: str = "hello") -> str:
        return f"{word} {self.name}"

    @classwide
    def make(cls: type[Thing], /, name: str) -> Thing:
        """Make one."""
        return cls(name)


class Other(Thing):
    pass


def test_a_function_has_both_forms() -> None:
    assert double(2) == asyncio.run(double.aio(2)) == 4


def test_a_series_can_be_iterated_in_both_forms() -> None:
    @blocking
    def series(upto: int) -> Iterator[int]:
        yield from range(upto)

    async def use() -> list[list[int]]:
        iterated = [each async for each in series.aio(3)]
        task = asyncio.create_task(series.aio(2))
        return [iterated, list(await task), list(await series.aio(1))]

    assert list(series(3)) == [0, 1, 2]
    assert asyncio.run(use()) == [[0, 1, 2], [0, 1], [0]]


def test_a_twin_that_is_not_needed_can_be_closed() -> None:
    double.aio(2).close()


def test_errors_come_out_of_both_forms() -> None:
    with pytest.raises(ValueError, match="no"):
        double(-1)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(double.aio(-1))


def test_a_method_is_bound_in_both_forms() -> None:
    thing = Thing("you")
    assert thing.greet() == "hello you"
    assert asyncio.run(thing.greet.aio(word="bye")) == "bye you"


def test_a_class_method_knows_its_class_in_both_forms() -> None:
    assert type(Thing.make("x")) is Thing
    assert type(Other.make("x")) is Other
    assert type(asyncio.run(Other.make.aio("x"))) is Other
    assert type(Other("x").make("y")) is Other


def test_the_awaitable_form_blocks_neither_the_loop_nor_its_fellows() -> None:
    """A hundred calls that wait for each other: a bounded pool would never finish."""
    together = threading.Barrier(100)

    @blocking
    def meet() -> int:
        return together.wait(30)

    async def scene() -> list[int]:
        return list(await asyncio.gather(*[meet.aio() for _ in range(100)]))

    assert sorted(asyncio.run(scene())) == list(range(100))


def test_the_callers_context_is_seen() -> None:
    async def scene() -> str:
        marked.set("here")
        return await on_a_thread(marked.get)

    assert asyncio.run(scene()) == "here"


def test_name_and_docstring_are_the_functions() -> None:
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")


def test_who_stops_waiting_hears_no_more_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    go_on = threading.Event()
    before = set(threading.enumerate())

    async def scene() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(on_a_thread(lambda: go_on.wait(20)), 0.05)

    asyncio.run(scene())
    left = set(threading.enumerate()) - before
    go_on.set()
    for thread in left:
        thread.join(20)
    assert "InvalidStateError" not in capsys.readouterr().err
