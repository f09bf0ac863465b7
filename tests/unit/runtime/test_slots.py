"""Who holds a replica's slots while bodies wait for their children."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from flyte_ray.runtime.slots import Slots, Tenancy

PATIENCE_S = 5.0


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, PATIENCE_S))


async def settled() -> None:
    """Some turns of the loop: whoever can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


def begin(slots: Slots, caller: str) -> asyncio.Event:
    """An attempt that wants a slot; the event says that it has it."""
    begun = asyncio.Event()
    slots.begin(caller, begun.set)
    return begun


def test_a_body_that_waits_for_a_child_lends_its_slot_and_gets_it_back() -> None:
    async def scene() -> None:
        slots = Slots(1)
        begin(slots, "parent")
        parent = Tenancy(slots, lambda: None)
        async with parent:
            assert begin(slots, "child").is_set()
            slots.release()
        other = begin(slots, "other")
        assert not other.is_set(), "the parent holds the slot again"
        parent.end()
        assert other.is_set()

    play(scene())


def test_a_slot_that_comes_while_another_child_is_underway_goes_to_that_child() -> None:
    async def scene() -> None:
        slots = Slots(1)
        begin(slots, "parent")
        parent = Tenancy(slots, lambda: None)
        first_ends, second_begins = asyncio.Event(), asyncio.Event()

        async def one_branch() -> None:
            async with parent:
                await first_ends.wait()

        async def other_branch() -> None:
            await second_begins.wait()
            async with parent:
                await begin(slots, "parent").wait()
                slots.release()

        branches = asyncio.gather(one_branch(), other_branch())
        await settled()
        assert begin(slots, "stranger").is_set(), "it works in the slot that was lent"
        first_ends.set()
        await settled()
        second_begins.set()
        await settled()
        slots.release()  # the stranger has ended
        await branches
        other = begin(slots, "other")
        assert not other.is_set(), "with no child underway the parent holds its slot"
        parent.end()
        assert other.is_set()

    play(scene())
