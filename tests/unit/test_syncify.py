"""The bridge between blocking callers and async code."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flyte_ray._syncify import LoopThread, Syncify, background_loop, run_sync, syncify

flavour: contextvars.ContextVar[str] = contextvars.ContextVar("flavour", default="plain")


@syncify
async def double(x: int) -> int:
    """Twice as much."""
    await asyncio.sleep(0)
    if x < 0:
        raise ValueError("negative")
    return 2 * x


closed: list[str] = []


@syncify
async def count(n: int) -> AsyncIterator[int]:
    try:
        for number in range(n):
            yield number
    finally:
        closed.append("count")


class Shop:
    def __init__(self, price: int) -> None:
        self.price = price

    @syncify
    async def total(self, items: int) -> int:
        return self.price * items

    @syncify
    async def prices(self) -> AsyncIterator[int]:
        yield self.price

    @syncify
    @classmethod
    async def cheap(cls, discount: int) -> Shop:
        return cls(10 - discount)

    @syncify
    @staticmethod
    async def motto() -> str:
        return "buy"


class Stall(Shop):
    pass


def test_a_function_is_called_without_await_and_awaited_with_aio() -> None:
    assert double(2) == 4
    assert asyncio.run(double.aio(2)) == 4
    assert double.__doc__ == "Twice as much."
    assert str(inspect.signature(double)) == "(x: 'int') -> 'int'"


def test_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="negative"):
        double(-1)


def test_the_blocking_form_may_be_called_on_another_running_loop() -> None:
    async def body() -> int:
        return double(3)

    assert asyncio.run(body()) == 6


def test_a_generator_is_iterated_in_both_forms_and_closed_when_left() -> None:
    async def collect() -> list[int]:
        return [number async for number in count.aio(2)]

    assert list(count(3)) == [0, 1, 2]
    assert asyncio.run(collect()) == [0, 1]
    closed.clear()
    for _ in count(3):
        break
    assert closed == ["count"]


def test_methods_are_bound() -> None:
    shop = Shop(3)
    assert shop.total(2) == 6
    assert asyncio.run(shop.total.aio(items=2)) == 6
    assert list(shop.prices()) == [3]
    assert Shop.total(shop, 4) == 12  # type: ignore[arg-type]


def test_class_and_static_methods_are_bound() -> None:
    assert type(Stall.cheap(1)) is Stall
    assert asyncio.run(Stall.cheap.aio(2)).price == 8
    assert Shop(1).cheap(1).price == 9
    assert Shop.motto() == "buy"


@pytest.mark.parametrize("wrong", [len, lambda: 1, 3])
def test_only_async_things_are_taken(wrong: Any) -> None:
    with pytest.raises(TypeError, match="async"):
        Syncify()(wrong)


def test_context_variables_reach_the_coroutine() -> None:
    async def read() -> str:
        return flavour.get()

    token = flavour.set("mint")
    try:
        assert run_sync(read()) == "mint"
    finally:
        flavour.reset(token)


def test_our_own_loop_is_one_and_never_the_callers() -> None:
    async def which() -> tuple[asyncio.AbstractEventLoop, str]:
        return asyncio.get_running_loop(), threading.current_thread().name

    loop, name = run_sync(which())
    assert loop is background_loop()
    assert name == "flyte_ray-background"


def test_blocking_on_our_own_loop_is_refused_instead_of_hanging() -> None:
    async def waits_for_itself() -> int:
        return double(1)

    with pytest.raises(AssertionError, match="Deadlock"):
        run_sync(waits_for_itself())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    assert double(1) == 2
    child = os.fork()
    if child == 0:
        os._exit(0 if double(2) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_loop_thread_runs_what_is_submitted_and_ends() -> None:
    with LoopThread() as loop:
        token = flavour.set("lime")
        future = loop.submit(asyncio.sleep(0, "done"))
        flavour.reset(token)
        assert future.result() == "done"
        thread = loop._thread
        assert thread.is_alive()
    assert not thread.is_alive()


def test_a_loop_thread_cancels_its_leftovers_and_waits_for_them() -> None:
    ended = []

    async def forever(begun: threading.Event) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    begun = threading.Event()
    with LoopThread() as loop:
        future = loop.submit(forever(begun))
        begun.wait()
    assert ended == [True]
    assert future.cancelled()


def test_a_loop_thread_may_be_closed_from_its_own_loop() -> None:
    loop = LoopThread().start()

    async def close() -> None:
        loop.close()

    loop.submit(close()).result()
    loop._thread.join(timeout=30)
    assert not loop._thread.is_alive()


def test_leaving_async_with_does_not_block_the_callers_loop() -> None:
    async def body() -> None:
        ours = asyncio.get_running_loop()

        async def ends_late() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                # Needs the caller's loop, which must be running while we are closed.
                done = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), ours)
                await asyncio.wrap_future(done)

        begun = asyncio.Event()

        async def begin() -> None:
            ours.call_soon_threadsafe(begun.set)
            await ends_late()

        async with LoopThread() as loop:
            held = loop.submit(begin())  # a loop itself holds no task that only waits
            await begun.wait()
        assert held.cancelled()

    asyncio.run(body())
