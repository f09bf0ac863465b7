"""The batcher: which records go together, what comes back, and what happens at the edges."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from flyte_ray.extras import BatchStats, DynamicBatcher, Prompt, TokenBatcher

LONG_S = 60.0
"""A time-out that no test waits for."""


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, 30))


class Doubler:
    """Doubles numbers, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        await asyncio.sleep(0)
        return [2 * x for x in batch]


async def submitted(work: Any, records: list[Any], **options: Any) -> list[Any]:
    async with DynamicBatcher(work, **options) as batcher:
        futures = await batcher.submit_batch(records)
    return [future.result() for future in futures]


def test_results_belong_to_their_records() -> None:
    assert run(submitted(Doubler(), list(range(100)), max_batch_size=7)) == [
        2 * x for x in range(100)
    ]


def test_a_batch_is_no_longer_than_it_may_be() -> None:
    work = Doubler()
    run(submitted(work, list(range(10)), max_batch_size=4, batch_timeout_s=LONG_S))
    assert [len(batch) for batch in work.batches] == [4, 4, 2]


def test_a_batch_costs_no_more_than_it_may() -> None:
    work = Doubler()
    run(
        submitted(
            work,
            [3, 3, 3, 9, 1, 20, 1],
            cost_estimator=lambda x: x,
            target_batch_cost=9,
            batch_timeout_s=LONG_S,
        )
    )
    assert work.batches == [[3, 3, 3], [9], [1], [20], [1]]


def test_a_full_batch_does_not_wait_for_the_next_record() -> None:
    async def scene() -> list[int]:
        async with DynamicBatcher(Doubler(), max_batch_size=2, batch_timeout_s=LONG_S) as batcher:
            futures = await batcher.submit_batch([1, 2])
            return list(await asyncio.gather(*futures))

    assert run(scene()) == [2, 4]


def test_a_lone_record_goes_off_after_a_while() -> None:
    async def scene() -> int:
        async with DynamicBatcher(Doubler(), batch_timeout_s=0.01) as batcher:
            return int(await (await batcher.submit(21)))

    assert run(scene()) == 42


def test_stopping_finishes_what_is_there() -> None:
    async def scene() -> tuple[list[int], BatchStats]:
        batcher = DynamicBatcher(Doubler(), batch_timeout_s=LONG_S)
        await batcher.start()
        futures = await batcher.submit_batch([1, 2, 3])
        await batcher.stop()
        await batcher.stop()
        assert not batcher.is_running
        return [future.result() for future in futures], batcher.stats

    results, stats = run(scene())
    assert results == [2, 4, 6]
    assert (stats.total_submitted, stats.total_completed, stats.total_batches) == (3, 3, 1)
    assert (stats.avg_batch_size, stats.avg_batch_cost, stats.total_batch_cost) == (3.0, 3.0, 3)
    assert 0 <= stats.utilization <= 1


def test_a_batcher_can_be_started_again() -> None:
    async def scene() -> list[int]:
        batcher: DynamicBatcher[int, int] = DynamicBatcher(Doubler(), batch_timeout_s=0.0)
        got = []
        for number in (1, 2):
            async with batcher:
                got.append(await (await batcher.submit(number)))
        return got

    assert run(scene()) == [2, 4]


def test_out_of_turn_calls_are_refused() -> None:
    async def scene() -> None:
        batcher: DynamicBatcher[int, int] = DynamicBatcher(Doubler())
        with pytest.raises(RuntimeError, match="not running"):
            await batcher.submit(1)
        async with batcher:
            with pytest.raises(RuntimeError, match="already"):
                await batcher.start()
        with pytest.raises(RuntimeError, match="not running"):
            await batcher.submit(1)

    run(scene())


def test_an_error_fails_every_record_of_its_batch_and_no_other() -> None:
    async def picky(batch: list[int]) -> list[int]:
        if 3 in batch:
            raise ValueError("no threes")
        return batch

    async def scene() -> list[Any]:
        async with DynamicBatcher(picky, max_batch_size=2, batch_timeout_s=LONG_S) as batcher:
            futures = await batcher.submit_batch([1, 2, 3, 4, 5, 6])
            return list(await asyncio.gather(*futures, return_exceptions=True))

    got = run(scene())
    assert got[:2] + got[4:] == [1, 2, 5, 6]
    assert [str(each) for each in got[2:4]] == ["no threes", "no threes"]


def test_a_wrong_number_of_results_is_an_error() -> None:
    async def lossy(batch: list[int]) -> list[int]:
        return batch[1:]

    with pytest.raises(RuntimeError, match="1 results for 2 records"):
        run(submitted(lossy, [1, 2], max_batch_size=2))


def test_a_cancelled_record_is_left_out() -> None:
    work = Doubler()

    async def scene() -> int:
        async with DynamicBatcher(work, batch_timeout_s=LONG_S) as batcher:
            first, second = await batcher.submit_batch([1, 2])
            first.cancel()
        return int(second.result())

    assert run(scene()) == 4
    assert work.batches == [[2]]


def test_a_full_queue_holds_its_submitters_up() -> None:
    go = asyncio.Event()

    async def gated(batch: list[int]) -> list[int]:
        await go.wait()
        return batch

    async def scene() -> tuple[int, list[int]]:
        batcher = DynamicBatcher(gated, max_batch_size=1, max_queue_size=2, prefetch_batches=1)
        async with batcher:
            tasks = [asyncio.ensure_future(batcher.submit(x)) for x in range(10)]
            await asyncio.wait(tasks, timeout=0.05)
            held_up = sum(not task.done() for task in tasks)
            go.set()
            futures = await asyncio.gather(*tasks)
            return held_up, list(await asyncio.gather(*futures))

    held_up, results = run(scene())
    assert held_up > 0
    assert results == list(range(10))


def test_those_who_wait_at_a_full_queue_are_served_before_the_end() -> None:
    async def scene() -> list[int]:
        batcher: DynamicBatcher[int, int] = DynamicBatcher(
            Doubler(), max_batch_size=1, max_queue_size=1, prefetch_batches=1
        )
        await batcher.start()
        tasks = [asyncio.ensure_future(batcher.submit(x)) for x in range(20)]
        await asyncio.sleep(0)
        await batcher.stop()
        return [(await task).result() for task in tasks]

    assert run(scene()) == [2 * x for x in range(20)]


@pytest.mark.parametrize("queue_size", [20, 1])
def test_whoever_is_cancelled_while_stopping_leaves_nobody_waiting(queue_size: int) -> None:
    go = asyncio.Event()

    async def gated(batch: list[int]) -> list[int]:
        await go.wait()
        return [2 * x for x in batch]

    async def scene() -> list[int]:
        batcher: DynamicBatcher[int, int] = DynamicBatcher(
            gated, max_batch_size=1, max_queue_size=queue_size, prefetch_batches=1
        )
        await batcher.start()
        tasks = [asyncio.ensure_future(batcher.submit(x)) for x in range(8)]
        await asyncio.sleep(0)
        hasty = asyncio.ensure_future(batcher.stop())
        await asyncio.wait([hasty], timeout=0.05)
        hasty.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hasty
        with pytest.raises(RuntimeError, match="still being stopped"):
            await batcher.start()
        with pytest.raises(RuntimeError, match="not running"):
            await batcher.submit(9)
        go.set()
        await batcher.stop()
        assert not batcher.is_running
        results = [(await task).result() for task in tasks]
        async with batcher:
            results.append(await (await batcher.submit(8)))
        return results

    assert run(scene()) == [2 * x for x in range(9)]


def test_who_stops_second_waits_for_the_end_too() -> None:
    async def scene() -> None:
        batcher: DynamicBatcher[int, int] = DynamicBatcher(Doubler(), batch_timeout_s=LONG_S)
        await batcher.start()
        future = await batcher.submit(1)
        first = asyncio.ensure_future(batcher.stop())
        await asyncio.sleep(0)
        await batcher.stop()
        assert future.result() == 2
        assert not batcher.is_running
        await first

    run(scene())


def test_a_batch_that_is_cancelled_fails_alone() -> None:
    async def moody(batch: list[int]) -> list[int]:
        if 1 in batch:
            raise asyncio.CancelledError
        return batch

    async def scene() -> int:
        async with DynamicBatcher(moody, max_batch_size=1) as batcher:
            with pytest.raises(RuntimeError, match="CancelledError"):
                await (await batcher.submit(1))
            return await (await batcher.submit(2))

    assert run(scene()) == 2


def test_a_failed_batch_holds_no_memory() -> None:
    made: list[weakref.ref[Weighed]] = []

    async def failing(batch: list[int]) -> list[int]:
        large = Weighed(1)
        made.append(weakref.ref(large))
        raise MemoryError("for this batch")

    async def scene() -> None:
        async with DynamicBatcher(failing) as batcher:
            with pytest.raises(MemoryError):
                await (await batcher.submit(1))
            await asyncio.sleep(0)  # the loop still holds the future that woke us
            assert made[0]() is None, "else the next batch finds as little memory as this one"

    gc.disable()
    try:
        run(scene())
    finally:
        gc.enable()


@dataclass
class Weighed:
    weight: int

    def estimate_cost(self) -> int:
        return self.weight


def test_a_cost_is_explicit_else_estimated_else_the_records_own_else_the_default() -> None:
    def batcher(**options: Any) -> DynamicBatcher[Any, Any]:
        return DynamicBatcher(Doubler(), default_cost=7, **options)

    estimating = batcher(cost_estimator=lambda _: 5)
    assert estimating._cost_of(Weighed(3), 2) == 2
    assert estimating._cost_of(Weighed(3), None) == 5
    assert batcher()._cost_of(Weighed(3), None) == 3
    assert batcher()._cost_of("plain", None) == 7


@pytest.mark.parametrize(
    "wrong",
    [{"max_batch_size": 0}, {"target_batch_cost": 0}, {"min_batch_size": 9, "max_batch_size": 3}],
)
def test_impossible_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="_batch_"):
        DynamicBatcher(Doubler(), **wrong)  # type: ignore[arg-type]


def test_tokens_are_counted_by_length_by_hand_or_by_the_author() -> None:
    batches: list[list[str]] = []

    async def answer(batch: list[Any]) -> list[int]:
        batches.append([getattr(each, "text", each) for each in batch])
        return [len(each) for each in batches[-1]]

    async def scene() -> None:
        async with TokenBatcher(
            answer, target_batch_tokens=10, default_token_estimate=10, batch_timeout_s=LONG_S
        ) as batcher:
            await batcher.submit(Prompt("x" * 20))  # 6
            await batcher.submit(Prompt("y" * 12))  # 4: full
            await batcher.submit("no idea")  # 10: full
            await batcher.submit("by hand", estimated_tokens=1)
            await batcher.submit(Prompt("z" * 20))  # 7 together

    run(scene())
    assert batches == [["x" * 20, "y" * 12], ["no idea"], ["by hand", "z" * 20]]
