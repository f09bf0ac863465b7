from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Event
from flyte_ray.errors import FencedError, RunNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.ownership import claim_first, latest_epoch, take_over
from flyte_ray.store.pacing import WIDEST_WINDOW
from flyte_ray.store.run_file import write_run
from flyte_ray.store.segments import decode_segment, encode
from tests.unit.store.books import run_spec, success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
PATIENT_S = 30


class Crash(BaseException):
    """The process dies here."""


def a_run(*slots: int, blobs: DictBlobs | None = None) -> DictBlobs:
    """A run of epoch 1 with one result in each of the slots."""
    blobs = blobs or DictBlobs()
    write_run(blobs, run_spec())
    claim_first(blobs, RUN, "first")
    for slot in slots:
        put(blobs, slot, epoch=1)
    return blobs


def put(blobs: DictBlobs, slot: int, *, epoch: int) -> None:
    blobs.put(layout.segment(RUN, slot), encode([success(f"a{slot}")], slot, epoch))


def names(events: list[Event]) -> list[str]:
    return [event.action_id for event in events]


def epochs(blobs: DictBlobs) -> list[int]:
    files = LogFiles(blobs, RUN)
    return [files.segment(slot).epoch for slot in files.slots()]


def test_taking_over_fences_the_window_and_reads_what_is_there() -> None:
    blobs = a_run(0, 1, 2)
    found = take_over(blobs, RUN, "second")
    assert names(found.events) == ["a0", "a1", "a2"]
    assert (found.epoch, found.next_slot) == (2, 3 + WIDEST_WINDOW)
    assert epochs(blobs) == [1, 1, 1, 2, 2, 2, 2]


def test_holes_are_filled() -> None:
    blobs = a_run(0, 3)
    found = take_over(blobs, RUN, "second")
    assert names(found.events) == ["a0", "a3"]
    assert epochs(blobs) == [1, 2, 2, 1, 2, 2, 2, 2]


def test_a_run_whose_owner_never_claimed_it_can_be_taken_over() -> None:
    blobs = DictBlobs()
    write_run(blobs, run_spec())
    assert take_over(blobs, RUN, "second").epoch == 1


def test_an_unknown_run_cannot_be_taken_over() -> None:
    with pytest.raises(RunNotFoundError):
        open_book(DictBlobs(), "r1", "me")


def test_an_owner_who_runs_ahead_is_overtaken() -> None:
    blobs = a_run(0)
    ahead = iter(range(1, 6))

    def old_owner_writes_first(operation: str, key: str) -> None:
        if operation == "put_new" and "/log/" in key and (slot := next(ahead, None)) is not None:
            put(blobs, slot, epoch=1)

    blobs.before = old_owner_writes_first
    found = take_over(blobs, RUN, "second")
    assert names(found.events) == [f"a{slot}" for slot in range(6)]
    segments = LogFiles(blobs, RUN).segments()
    assert [s.slot for s in segments] == list(range(found.next_slot))
    assert all(s.epoch == 2 for s in segments[6:])


def test_a_segment_that_lands_in_a_hole_while_it_is_filled_counts() -> None:
    blobs = a_run(0, 2)

    def land(operation: str, key: str) -> None:
        if operation == "put_new" and key == layout.segment(RUN, 1):
            put(blobs, 1, epoch=1)

    blobs.before = land
    assert names(take_over(blobs, RUN, "second").events) == ["a0", "a1", "a2"]


@pytest.mark.parametrize("slot", [1, 3, 4], ids=["hole", "fence", "last fence"])
def test_whoever_meets_a_later_owner_gives_up(slot: int) -> None:
    blobs = a_run(0, 2)

    def later_owner(operation: str, key: str) -> None:
        if operation == "put_new" and key == layout.segment(RUN, slot):
            put(blobs, slot, epoch=9)

    blobs.before = later_owner
    with pytest.raises(FencedError):
        take_over(blobs, RUN, "second")


def test_a_later_owners_row_below_the_fence_is_noticed() -> None:
    blobs = a_run(0, 1)
    put(blobs, 1, epoch=9)
    with pytest.raises(FencedError):
        take_over(blobs, RUN, "second")


def test_every_takeover_has_an_epoch_of_its_own() -> None:
    blobs = a_run()
    assert [take_over(blobs, RUN, "x").epoch for _ in range(3)] == [2, 3, 4]
    assert latest_epoch(blobs, RUN) == 4


def test_a_claim_that_another_won_is_claimed_again_higher() -> None:
    blobs = a_run()
    once = iter([True])

    def another_claims(operation: str, key: str) -> None:
        if operation == "put_new" and "/owners/" in key and next(once, False):
            blobs.put(key, b'{"owner": "another"}')

    blobs.before = another_claims
    assert take_over(blobs, RUN, "me").epoch == 3


# ------------------------------------------------------------- what a power cut leaves


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_a_damaged_end_of_the_book_is_passed_over_and_healed(content: bytes) -> None:
    blobs = a_run(0, 1)
    for slot in (2, 3):
        blobs.put(layout.segment(RUN, slot), content)
    assert names(LogFiles(blobs, RUN).events()) == ["a0", "a1"]
    book, events = open_book(blobs, "r1", "second")
    assert names(events) == ["a0", "a1"]
    book.append([success("a9")]).result(PATIENT_S)
    book.close()
    assert names(LogFiles(blobs, RUN).events()) == ["a0", "a1", "a9"]
    assert decode_segment(blobs.objects[layout.segment(RUN, 2)]).is_fence


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_what_a_fence_took_the_place_of_is_kept(content: bytes) -> None:
    blobs = a_run(0)
    blobs.put(layout.segment(RUN, 1), content)
    take_over(blobs, RUN, "second")
    assert blobs.objects[layout.damaged(RUN, 1, 2)] == content
    take_over(blobs, RUN, "third")
    assert list(blobs.list("runs/r1/damaged")) == ["000000001~000002"]


class Mumbling(DictBlobs):
    """A store that hands out half of an object, so often."""

    def __init__(self, mumbled: dict[str, int], url: str = "memory://test") -> None:
        super().__init__(url)
        self._left = mumbled

    def get(self, key: str) -> bytes:
        data = super().get(key)
        if self._left.get(key, 0):
            self._left[key] -= 1
            return data[: len(data) // 2]
        return data


def test_a_result_that_could_not_be_read_at_first_is_no_damage() -> None:
    blobs = Mumbling({layout.segment(RUN, 1): 1})
    a_run(0, 1, blobs=blobs)
    before = blobs.objects[layout.segment(RUN, 1)]
    assert names(take_over(blobs, RUN, "second").events) == ["a0", "a1"]
    assert blobs.objects[layout.segment(RUN, 1)] == before


def test_a_result_that_reads_differently_each_time_is_not_left_out() -> None:
    blobs = Mumbling({})
    a_run(0, 1, blobs=blobs)
    key, before = layout.segment(RUN, 1), blobs.objects[layout.segment(RUN, 1)]
    turns = iter([before[:9], before, before[:9]])
    blobs.get = lambda asked: next(turns) if asked == key else DictBlobs.get(blobs, asked)  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="reads differently each time"):
        take_over(blobs, RUN, "second")
    assert blobs.objects[key] == before


def test_in_a_bucket_nothing_is_replaced() -> None:
    blobs = a_run(0, blobs=DictBlobs("gs://bucket"))
    blobs.put(layout.segment(RUN, 1), b"half")
    with pytest.raises(StoreError, match=r"gs://bucket/runs/r1/log/000000/000000001\.parquet"):
        take_over(blobs, RUN, "second")
    assert blobs.objects[layout.segment(RUN, 1)] == b"half"


def test_a_takeover_without_memory_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = a_run(0, 1)
    real, reads = pq.ParquetFile, iter(range(100))

    def short_of_memory(*args: Any, **kwargs: Any) -> pq.ParquetFile:
        if next(reads) == 1:
            raise pa.ArrowMemoryError("malloc of size 4096 failed")
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", short_of_memory)
        with pytest.raises(MemoryError):
            take_over(blobs, RUN, "second")
    assert names(take_over(blobs, RUN, "third").events) == ["a0", "a1"]


def test_damage_in_the_middle_of_the_book_is_an_error() -> None:
    blobs = a_run(0, 1, 2)
    blobs.put(layout.segment(RUN, 1), b"")
    with pytest.raises(StoreError, match=r"log/000000/000000001\.parquet is no whole segment"):
        LogFiles(blobs, RUN).events()
    with pytest.raises(StoreError, match="damaged"):
        open_book(blobs, "r1", "second")


# ------------------------------------------------------------- a crash at every storage call


def crash_at(number: int, only: Callable[[str, str], bool] = lambda operation, key: True):
    left = [number]

    def hook(operation: str, key: str) -> None:
        if only(operation, key):
            left[0] -= 1
            if left[0] < 0:
                raise Crash

    return hook


def calls_of(action: Callable[[DictBlobs], object], blobs: DictBlobs) -> int:
    before = sum(blobs.calls.values())
    action(blobs)
    return sum(blobs.calls.values()) - before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_takeover_may_die_at_every_call(moment: str) -> None:
    def open_again(blobs: DictBlobs) -> object:
        return take_over(blobs, RUN, "second")

    total = calls_of(open_again, a_run(0, 1, 4))
    assert total > 10
    for number in range(total):
        blobs = a_run(0, 1, 4)
        setattr(blobs, moment, crash_at(number))
        try:
            open_again(blobs)
        except Crash:
            pass
        blobs.before = blobs.after = lambda operation, key: None
        book, events = open_book(blobs, "r1", "third")
        assert names(events) == ["a0", "a1", "a4"], number
        book.append([success("a9")]).result(PATIENT_S)
        book.close()
        assert names(LogFiles(blobs, RUN).events()) == ["a0", "a1", "a4", "a9"], number


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_creation_may_die_at_every_call(moment: str) -> None:
    for number in range(2):
        blobs = DictBlobs()
        setattr(blobs, moment, crash_at(number))
        with pytest.raises(Crash):
            create_book(blobs, run_spec(), "first")
        blobs.before = blobs.after = lambda operation, key: None
        if layout.run_file(RUN) in blobs.objects:
            book, events = open_book(blobs, "r1", "second")
            assert events == []
        else:
            book = create_book(blobs, run_spec(), "second")
        book.append([success("a1")]).result(PATIENT_S)
        book.close()
        assert names(LogFiles(blobs, RUN).events()) == ["a1"]
