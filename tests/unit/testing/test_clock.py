from __future__ import annotations

import asyncio
from datetime import timedelta

from flyte_ray.testing import FakeClock


def test_sleepers_wake_when_their_time_has_passed_and_not_before() -> None:
    async def scene() -> list[str]:
        clock, woke = FakeClock(), []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woke.append(f"{name} at {clock.monotonic():g}")

        tasks = [
            asyncio.ensure_future(sleeper(n, s))
            for n, s in [("late", 10), ("early", 2), ("mid", 5)]
        ]
        await clock.advance(5)
        assert clock.sleepers == 1
        await clock.advance(100)
        await asyncio.gather(*tasks)
        return woke

    assert asyncio.run(scene()) == ["early at 2", "mid at 5", "late at 10"]


def test_a_sleeper_that_sleeps_again_is_woken_within_the_same_advance() -> None:
    async def scene() -> float:
        clock = FakeClock()

        async def ticking() -> None:
            for _ in range(3):
                await clock.sleep(1)

        task = asyncio.ensure_future(ticking())
        await clock.advance(10)
        await task
        return clock.monotonic()

    assert asyncio.run(scene()) == 10


def test_autojump_moves_time_instead_of_waiting() -> None:
    clock = FakeClock(autojump=True)
    before = clock.now()
    asyncio.run(clock.sleep(3600))
    assert clock.now() - before == timedelta(hours=1)
    assert clock.slept == [3600]


def test_a_cancelled_sleeper_is_forgotten() -> None:
    async def scene() -> int:
        clock = FakeClock()
        task = asyncio.ensure_future(clock.sleep(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await clock.advance(2)
        return clock.sleepers

    assert asyncio.run(scene()) == 0
