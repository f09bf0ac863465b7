"""Futures of other threads land on the loops that wait for them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from flyte_ray.engine.landing import landed


def test_many_that_land_together_all_arrive() -> None:
    async def scene() -> list[int]:
        futures: list[Future[int]] = [Future() for _ in range(100)]

        def finish() -> None:
            for number, future in enumerate(futures):
                future.set_result(number)

        waiting = [asyncio.ensure_future(landed(future)) for future in futures]
        await asyncio.sleep(0)
        threading.Thread(target=finish).start()
        return await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert asyncio.run(scene()) == list(range(100))


def test_an_error_is_raised_where_it_is_awaited() -> None:
    async def scene() -> None:
        future: Future[None] = Future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("store away"))
        await landed(future)

    with pytest.raises(ValueError, match="store away"):
        asyncio.run(scene())


def test_cancelling_who_waits_leaves_the_future_and_its_neighbours_alone() -> None:
    async def scene() -> tuple[bool, str]:
        dropped: Future[str] = Future()
        kept: Future[str] = Future()
        first, second = (asyncio.ensure_future(landed(each)) for each in (dropped, kept))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        dropped.set_result("written")
        kept.set_result("heard")
        return dropped.cancelled(), await asyncio.wait_for(second, 5)

    assert asyncio.run(scene()) == (False, "heard")


def test_one_future_is_awaited_on_several_loops() -> None:
    future: Future[str] = Future()
    heard: list[str] = []
    ready = threading.Barrier(4)

    async def wait() -> None:
        waiting = asyncio.ensure_future(landed(future))
        await asyncio.sleep(0)
        ready.wait(5)
        heard.append(await waiting)

    threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(5)
    future.set_result("stored")
    for thread in threads:
        thread.join(5)
    assert heard == ["stored"] * 3


def test_a_loop_that_was_closed_meanwhile_costs_nobody_else_anything() -> None:
    future: Future[str] = Future()

    async def leave() -> None:
        waiting = asyncio.ensure_future(landed(future))
        await asyncio.sleep(0)
        waiting.cancel()

    async def stay() -> str:
        waiting = asyncio.ensure_future(landed(future))
        await asyncio.sleep(0)
        future.set_result("stored")
        return await asyncio.wait_for(waiting, 5)

    asyncio.run(leave())
    assert asyncio.run(stay()) == "stored"
