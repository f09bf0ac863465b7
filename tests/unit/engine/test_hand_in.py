"""Rows that somebody waits for are handed in once a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import Event, EventKind
from flyte_ray.engine.hand_in import TOGETHER, HandIn
from flyte_ray.errors import FencedError
from tests.unit.engine.scenes import MemoryBook


def row(name: str) -> Event:
    return Event(kind=EventKind.SUCCEEDED, at_us=1, action_id=ActionId(name))


class SlowBook(MemoryBook):
    """A book whose store takes until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[str, list[str]]] = []
        self.landing: list[Future[None]] = []

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        self.batches.append((run, [event.action_id for event in events]))
        self.landing.append(Future())
        return self.landing[-1]


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_rows_of_one_turn_go_together_and_later_ones_do_not() -> None:
    async def scene() -> list[tuple[str, list[str]]]:
        book = SlowBook()
        hand_in = HandIn(book)
        first = [asyncio.ensure_future(hand_in.record("r", [row(name)])) for name in "ab"]
        other = asyncio.ensure_future(hand_in.record("s", [row("x")]))
        await turn()
        late = asyncio.ensure_future(hand_in.record("r", [row("c")]))
        await turn()
        for landing in book.landing:
            landing.set_result(None)
        await asyncio.gather(*first, other, late)
        return book.batches

    assert asyncio.run(scene()) == [("r", ["a", "b"]), ("s", ["x"]), ("r", ["c"])]


def test_the_first_of_very_many_rows_set_out_before_the_turn_ends() -> None:
    async def scene() -> list[int]:
        book = SlowBook()
        hand_in = HandIn(book)
        seen: list[int] = []

        async def hand(number: int) -> None:
            waiting = hand_in.record("r", [row(f"a{number}")])
            seen.append(len(book.batches))
            await waiting

        count = TOGETHER + 1
        handing = [asyncio.ensure_future(hand(number)) for number in range(count)]
        await turn()
        for landing in book.landing:
            landing.set_result(None)
        await asyncio.gather(*handing)
        assert [len(rows) for _, rows in book.batches] == [TOGETHER, 1]
        return seen

    assert asyncio.run(scene())[-2:] == [1, 1], "the last call of the turn saw them gone"


def test_nobody_is_told_before_the_store_has_the_rows() -> None:
    async def scene() -> tuple[bool, bool]:
        book = SlowBook()
        waiting = asyncio.ensure_future(HandIn(book).record("r", [row("a")]))
        await turn()
        before = waiting.done()
        await asyncio.to_thread(book.landing[0].set_result, None)  # the ledger's thread
        await asyncio.wait_for(waiting, 10)
        return before, waiting.done()

    assert asyncio.run(scene()) == (False, True)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_refusal_reaches_all_who_wait(at_once: bool) -> None:
    class Refusing(MemoryBook):
        def record(self, run: str, events: Sequence[Event]) -> Future[None]:
            if at_once:
                raise FencedError("another host has it")
            done: Future[None] = Future()
            done.set_exception(FencedError("another host has it"))
            return done

    async def scene() -> list[object]:
        hand_in = HandIn(Refusing())
        return await asyncio.gather(
            *[hand_in.record("r", [row(name)]) for name in "ab"], return_exceptions=True
        )

    assert [type(each) for each in asyncio.run(scene())] == [FencedError, FencedError]


def test_who_stops_waiting_takes_no_row_along() -> None:
    async def scene() -> list[str]:
        book = SlowBook()
        hand_in = HandIn(book)
        left = asyncio.ensure_future(hand_in.record("r", [row("a")]))
        stays = asyncio.ensure_future(hand_in.record("r", [row("b")]))
        await turn()
        left.cancel()
        await turn()
        book.landing[0].set_result(None)
        await asyncio.wait_for(stays, 10)
        assert left.cancelled()
        return book.batches[0][1]

    assert asyncio.run(scene()) == ["a", "b"]
