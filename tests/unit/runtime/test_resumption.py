"""What a host's later life does with the runs of the one before."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flyte_ray.errors import FencedError, RunExistsError, RunNotFoundError, StoreError
from flyte_ray.runtime.resumption import FIRST_PAUSE_S, LONGEST_PAUSE_S, Resumptions
from flyte_ray.testing.clock import FakeClock

AWAY = StoreError("the store is away")


class Desk:
    """Resumes runs, but for what goes wrong first."""

    def __init__(self, failures: dict[str, list[Exception]]) -> None:
        self._failures = failures
        self.resumed: list[tuple[str, bytes]] = []
        self.forgotten: list[str] = []
        self.clock = FakeClock(autojump=True)
        self.resumptions = Resumptions(self.resume, self.forgotten.append, self.clock)

    async def resume(self, run: str, order: bytes) -> None:
        await asyncio.sleep(0)
        if left := self._failures.get(run):
            raise left.pop(0)
        self.resumed.append((run, order))

    async def all_over(self, *runs: str) -> None:
        for run in runs:
            while not await self.resumptions.is_over(run, 1):
                pass


@pytest.mark.parametrize(
    "failure", [AWAY, OSError("No space left on device"), FileNotFoundError("a folded slot")]
)
def test_a_run_that_cannot_be_resumed_yet_is_tried_again(failure: Exception) -> None:
    desk = Desk({"r1": [failure, failure]})

    async def live() -> None:
        desk.resumptions.begin({"r1": b"order"})
        await desk.all_over("r1")

    asyncio.run(live())
    assert desk.resumed == [("r1", b"order")]
    assert desk.forgotten == []
    assert desk.clock.slept == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S]


def test_the_pauses_grow_up_to_a_minute_and_the_reason_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk({"r1": [AWAY] * 10})

    async def live() -> None:
        desk.resumptions.begin({"r1": b""})
        await desk.all_over("r1")

    with caplog.at_level(logging.WARNING):
        asyncio.run(live())
    assert desk.clock.slept[-2:] == [LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert caplog.text.count("run r1 cannot be resumed yet") == 1


@pytest.mark.parametrize(
    "verdict", [FencedError("taken"), RunNotFoundError("removed"), RunExistsError("another's")]
)
def test_a_run_that_is_not_ours_is_forgotten(verdict: Exception) -> None:
    desk = Desk({"r1": [verdict]})

    async def live() -> None:
        desk.resumptions.begin({"r1": b""})
        await desk.all_over("r1")

    asyncio.run(live())
    assert (desk.resumed, desk.forgotten, desk.clock.slept) == ([], ["r1"], [])


def test_one_run_that_cannot_be_resumed_holds_up_no_other() -> None:
    stuck = [StoreError("the book is damaged")] * 10**4
    desk = Desk({f"stuck{n}": list(stuck) for n in range(10)})
    orders = dict.fromkeys([*(f"stuck{n}" for n in range(10)), "r1"], b"")

    async def live() -> None:
        desk.resumptions.begin(orders)
        await desk.all_over("r1")
        assert not await desk.resumptions.is_over("stuck0", 0)

    asyncio.run(live())
    assert [run for run, _ in desk.resumed] == ["r1"]


def test_whoever_watches_is_told_what_a_run_waits_for() -> None:
    desk = Desk({"r1": [AWAY] * 10**4})

    async def live() -> list[str | None]:
        desk.resumptions.begin({"r1": b""})
        told = [desk.resumptions.notice("r1")]
        assert not await desk.resumptions.is_over("r1", 0)
        return [*told, desk.resumptions.notice("r1"), desk.resumptions.notice("r2")]

    assert asyncio.run(live()) == ["", "cannot be resumed yet: the store is away", None]


@pytest.mark.parametrize("failures", [0, 3])
def test_what_is_asked_of_a_run_meanwhile_is_done_when_it_is_resumed(failures: int) -> None:
    desk = Desk({"r1": [AWAY] * failures})
    seen: list[list[tuple[str, bytes]]] = []

    def abort() -> None:
        seen.append([*desk.resumed])

    async def live() -> None:
        desk.resumptions.begin({"r1": b""})
        desk.resumptions.afterwards("r1", abort)
        desk.resumptions.afterwards("of another host", abort)
        await desk.all_over("r1")

    asyncio.run(live())
    assert seen == [[], [("r1", b"")]]
