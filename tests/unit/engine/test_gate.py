from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flyte_ray.engine.gate import Gate


@asynccontextmanager
async def passing(gate: Gate) -> AsyncIterator[None]:
    """As who calls goes through: at once where there is room."""
    if not gate.enter_at_once():
        await gate.enter()
    try:
        yield
    finally:
        gate.leave()


def test_so_many_are_inside_at_once_and_no_more() -> None:
    async def scene() -> int:
        gate, most, inside = Gate(3), 0, 0

        async def visit() -> None:
            nonlocal most, inside
            async with passing(gate):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*[visit() for _ in range(20)])
        assert gate.inside == 0
        return most

    assert asyncio.run(scene()) == 3


def test_first_come_first_served() -> None:
    async def scene() -> list[int]:
        gate, order = Gate(1), []

        async def visit(number: int) -> None:
            async with passing(gate):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*[visit(number) for number in range(5)])
        return order

    assert asyncio.run(scene()) == [0, 1, 2, 3, 4]


def test_whoever_is_cancelled_while_waiting_takes_no_place() -> None:
    async def scene() -> int:
        gate = Gate(1)
        async with passing(gate):
            waiting = [asyncio.ensure_future(gate.enter()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        async with passing(gate):
            return gate.inside

    assert asyncio.run(scene()) == 1


def test_a_place_given_to_somebody_who_is_cancelled_meanwhile_goes_on() -> None:
    async def scene() -> bool:
        gate = Gate(1)
        await gate.enter()
        lucky = asyncio.ensure_future(gate.enter())
        await asyncio.sleep(0)
        gate.leave()  # lets `lucky` in, who has not woken yet
        lucky.cancel()
        await asyncio.wait({lucky})
        await asyncio.wait_for(gate.enter(), 5)
        return lucky.cancelled()

    assert asyncio.run(scene())


def test_visitors_on_several_loops_share_the_places() -> None:
    gate, lock = Gate(2), threading.Lock()
    inside = most = 0

    async def visit() -> None:
        nonlocal inside, most
        async with passing(gate):
            with lock:
                inside += 1
                most = max(most, inside)
            await asyncio.sleep(0.001)
            with lock:
                inside -= 1

    async def crowd() -> None:
        await asyncio.gather(*[visit() for _ in range(10)])

    threads = [threading.Thread(target=lambda: asyncio.run(crowd())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 2
    assert gate.inside == 0


def test_a_turn_of_a_loop_that_was_closed_goes_to_the_next() -> None:
    gate = Gate(1)

    async def scene() -> None:
        closed = asyncio.new_event_loop()
        left_behind = closed.create_task(gate.enter())
        async with passing(gate):
            thread = threading.Thread(target=closed.run_until_complete, args=(_turn(),))
            thread.start()
            thread.join(5)
            closed.close()
            next_one = asyncio.ensure_future(gate.enter())
            await asyncio.sleep(0)
        await asyncio.wait_for(next_one, 5)
        assert not left_behind.done()
        left_behind._log_destroy_pending = False  # type: ignore[attr-defined]  # meant to be

    asyncio.run(scene())
    assert gate.inside == 1


async def _turn() -> None:
    await asyncio.sleep(0)
