from __future__ import annotations

import asyncio

from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.engine.cancellation import carried, carrying, outlast


def test_a_cancellation_carries_the_outcome_of_its_attempt() -> None:
    outcome = Outcome(kind=OutcomeKind.CANCELLED, logs="half a line")

    async def attempt() -> None:
        raise carrying(outcome)

    async def drive() -> Outcome | None:
        try:
            await attempt()
        except asyncio.CancelledError as error:
            return carried(error)
        return None

    assert asyncio.run(drive()) is outcome


def test_any_other_cancellation_carries_nothing() -> None:
    assert carried(asyncio.CancelledError()) is None


def test_a_second_cancellation_does_not_cut_the_stopping_short() -> None:
    async def scenario() -> tuple[bool, bool]:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stopping = asyncio.ensure_future(outlast(ended, 60.0))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.sleep(0)
        still_waiting = not stopping.done()
        ended.set_result(1)
        return still_waiting, await stopping

    assert asyncio.run(scenario()) == (True, True)


def test_patience_ends_with_what_never_ends() -> None:
    async def scenario() -> bool:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await outlast(ended, 0.01)

    assert asyncio.run(scenario()) is False
