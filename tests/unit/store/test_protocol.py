"""The commit protocol under random schedules: as a model, and with the real classes in threads.

What must hold, whoever is slow, killed or woken: an event that was acknowledged is in the book, and
every owner that came after has seen it when it opened.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import EventKind
from flyte_ray.errors import FencedError, StoreError
from flyte_ray.store.ledger import BookLedger, create_book, open_book
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import Pace
from tests.unit.store.books import row, run_spec
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
LONG = "FLYTE_RAY_SOAK_S" in os.environ
SIMULATED = int(os.environ.get("FLYTE_RAY_SIMULATE", "0"))
"""Schedules of the model in all (`make simulate`)."""
SCHEDULES = SIMULATED // 3 + 1 if SIMULATED else 20_000 if LONG else 1000
THREADED_ROUNDS = 1000 if LONG else 20


# ------------------------------------------------------------- the model


@dataclass(frozen=True)
class Slot:
    epoch: int
    is_fence: bool
    events: frozenset[str] = frozenset()


class ModelStore:
    """Slots and claims; every operation takes a random time and may lose its reply."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.slots: dict[int, Slot] = {}
        self.owners: dict[int, str] = {}

    async def lag(self) -> None:
        for _ in range(self.rng.choice((0, 1, 2, 5, 20))):
            await asyncio.sleep(0)

    async def put_new(self, where: dict, key: int, value: object) -> bool:
        while True:
            await self.lag()
            stored = where.setdefault(key, value)
            await self.lag()
            if self.rng.random() >= 0.1:  # else the reply is lost and the same bytes are sent again
                return stored == value

    async def keys(self, where: dict) -> set[int]:
        await self.lag()
        found = set(where)
        await self.lag()
        return found

    async def get(self, slot: int) -> Slot:
        await self.lag()
        return self.slots[slot]


@dataclass
class ModelOwner:
    store: ModelStore
    name: str
    window: int
    fences: int
    epoch: int = 10**9
    seen: set[str] = field(default_factory=set)
    acked: list[str] = field(default_factory=list)
    is_open: bool = False
    is_fenced: bool = False

    async def open(self) -> None:
        store = self.store
        while True:
            epoch = max(await store.keys(store.owners), default=0) + 1
            if await store.put_new(store.owners, epoch, self.name):
                break
        self.epoch = epoch
        jump = 0
        while True:
            base = max(await store.keys(store.slots), default=-1) + 1 + jump
            results = await asyncio.gather(*map(self.fence, range(base, base + self.fences)))
            if all(results):
                break
            jump = max(2, jump * 2)
        taken = await store.keys(store.slots)
        for slot in range(base):
            if slot not in taken:
                await self.fence(slot)
        for slot in range(base):
            found = await store.get(slot)
            if found.epoch > self.epoch:
                raise FencedError("a later owner wrote")
            self.seen |= found.events
        self.lowest = self.next = base + self.fences
        self.stored: set[int] = set()
        self.is_open = True

    async def fence(self, slot: int) -> bool:
        if await self.store.put_new(self.store.slots, slot, Slot(self.epoch, True)):
            return True
        if (await self.store.get(slot)).epoch > self.epoch:
            raise FencedError("a later owner fenced")
        return False

    async def take(self) -> int:
        while self.next >= self.lowest + self.window and not self.is_fenced:
            await asyncio.sleep(0)
        if self.is_fenced:
            raise FencedError("fenced meanwhile")
        self.next += 1
        return self.next - 1

    def settle(self, slot: int) -> None:
        self.stored.add(slot)
        while self.lowest in self.stored:
            self.lowest += 1

    async def write(self, slot: int, event: str) -> None:
        mine = Slot(self.epoch, False, frozenset([event]))
        while not await self.store.put_new(self.store.slots, slot, mine):
            found = await self.store.get(slot)
            if found.epoch > self.epoch or not found.is_fence:
                self.is_fenced = True
                raise FencedError("slot taken")
            self.settle(slot)
            slot = await self.take()
        self.acked.append(event)
        self.settle(slot)

    async def work(self, count: int) -> None:
        writes = []
        for number in range(count):
            try:
                slot = await self.take()
            except FencedError:
                break
            writes.append(asyncio.ensure_future(self.write(slot, f"{self.name}-{number}")))
            for _ in range(self.store.rng.choice((0, 0, 1, 3))):
                await asyncio.sleep(0)
        await asyncio.gather(*writes, return_exceptions=True)


async def schedule(seed: int, window: int, fences: int) -> tuple[list[str], bool]:
    """What was lost in one random schedule of three owners, and whether one of them got through."""
    rng = random.Random(seed)
    store = ModelStore(rng)
    owners = [ModelOwner(store, f"o{n}", window, fences) for n in range(3)]

    async def live(owner: ModelOwner, number: int) -> None:
        for _ in range(number * rng.choice((5, 20, 60))):
            await asyncio.sleep(0)
        try:
            await owner.open()
        except FencedError:
            return
        await owner.work(rng.choice((3, 8, 15)))

    await asyncio.gather(*(live(owner, number) for number, owner in enumerate(owners)))
    book = frozenset[str]().union(*(slot.events for slot in store.slots.values()))
    lost = [
        event
        for owner in owners
        for event in owner.acked
        if event not in book
        or any(
            later.is_open and later.epoch > owner.epoch and event not in later.seen
            for later in owners
        )
    ]
    return lost, any(owner.is_open and not owner.is_fenced for owner in owners)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_no_schedule_of_the_model_loses_an_acknowledged_event(window: int) -> None:
    survivors = 0
    for seed in range(SCHEDULES):
        lost, survived = asyncio.run(schedule(seed, window, fences=window))
        assert not lost, f"seed {seed}"
        survivors += survived
    assert survivors == SCHEDULES


def test_the_model_notices_a_protocol_that_fences_too_little() -> None:
    """Proof that the test above can fail: one fence for a window of four loses events."""
    assert any(asyncio.run(schedule(seed, 4, fences=1))[0] for seed in range(50))


# ------------------------------------------------------------- the real classes


class RestlessBlobs(DictBlobs):
    """A store of threads that pause at random and sometimes lose a reply."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(seed)
        self._pause = threading.Event()
        self.before = self.after = self._restless

    def _restless(self, operation: str, key: str) -> None:
        draw = self._rng.random()
        if draw < 0.5:
            self._pause.wait(draw / 250)
        if operation == "put_new" and draw > 0.97:
            raise StoreError("reply lost")


@dataclass
class RealOwner:
    """One owner's story: what it saw when it opened, and what was acknowledged to it."""

    name: str
    epoch: int = 0
    seen: set[str] = field(default_factory=set)
    acked: list[str] = field(default_factory=list)

    def live(self, blobs: DictBlobs, pace: Pace, book: BookLedger | None) -> None:
        while book is None:
            try:
                book, events = open_book(blobs, RUN, self.name, pace=pace)
                self.seen = {event.action_id for event in events}
            except FencedError:
                return
            except StoreError:
                continue
        self.epoch = book.epoch
        pending: list[tuple[str, Future[None]]] = []
        for number in range(25):
            name = f"{self.name}-{number}"
            pending.append((name, book.append([row(EventKind.SUCCEEDED, name)])))
            if number % 3 == 0:
                pending[-1][1].exception(timeout=60)
        self.acked = [name for name, future in pending if future.exception(timeout=60) is None]
        book.close()


@pytest.mark.parametrize("window", [1, 4])
def test_no_takeover_of_real_ledgers_loses_an_acknowledged_event(window: int) -> None:
    pace = Pace(window=window, gap_per_leaf_s=0, hedge_s=0.001 if window > 1 else None)
    fenced = 0
    for seed in range(THREADED_ROUNDS):
        blobs = RestlessBlobs(seed)
        blobs.before = blobs.after = lambda operation, key: None
        first = create_book(blobs, run_spec(), "o0", pace=pace)
        blobs.before = blobs.after = blobs._restless
        owners = [RealOwner(f"o{n}") for n in range(3)]
        books = [first, None, None]
        threads = [
            threading.Thread(target=owner.live, args=(blobs, pace, book))
            for owner, book in zip(owners, books, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        blobs.before = blobs.after = lambda operation, key: None
        book = [event.action_id for event in LogFiles(blobs, RUN).events()]
        assert len(book) == len(set(book)), f"seed {seed}: a row is doubled"
        for owner in owners:
            later = [o for o in owners if o.epoch > owner.epoch > 0]
            assert set(owner.acked) <= set(book), f"seed {seed}"
            assert all(set(owner.acked) <= o.seen for o in later), f"seed {seed}"
            fenced += len(owner.acked) < 25
    assert fenced > THREADED_ROUNDS / 2  # owners did get in each other's way
