from __future__ import annotations

from flyte_ray.core.ids import RunName
from flyte_ray.store import layout
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.segments import encode
from tests.unit.store.books import success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")


def put(blobs: DictBlobs, *slots: int) -> None:
    for slot in slots:
        blobs.put(layout.segment(RUN, slot), encode([success(f"a{slot}")], slot, 1))


def test_a_book_that_is_not_there_is_empty() -> None:
    assert LogFiles(DictBlobs(), RUN).events() == []


def test_events_come_in_the_order_of_the_book_also_when_a_hole_is_filled_late() -> None:
    blobs = DictBlobs()
    files = LogFiles(blobs, RUN)
    put(blobs, 0, 2, 1001)
    assert [e.action_id for e in files.events()] == ["a0", "a2", "a1001"]
    put(blobs, 1)
    assert [e.action_id for e in files.events()] == ["a0", "a1", "a2", "a1001"]


def test_reading_again_costs_the_new_segments_only() -> None:
    blobs = DictBlobs()
    put(blobs, 0, 1, 2)
    files = LogFiles(blobs, RUN)
    files.segments()
    blobs.calls.clear()
    put(blobs, 3)
    assert len(files.segments()) == 4
    assert blobs.calls["get"] == 1


def test_a_full_chunk_is_listed_once() -> None:
    blobs = DictBlobs()
    for slot in range(layout.SLOTS_PER_CHUNK + 1):
        blobs.put(layout.segment(RUN, slot), b"")
    files = LogFiles(blobs, RUN)
    assert files.slots() == list(range(layout.SLOTS_PER_CHUNK + 1))
    blobs.calls.clear()
    assert files.slots()[-1] == layout.SLOTS_PER_CHUNK
    assert blobs.calls["list"] == 2  # the chunks, and the one that is not full


def test_foreign_files_in_the_log_are_passed_over() -> None:
    blobs = DictBlobs()
    put(blobs, 0)
    blobs.put(f"{layout.log(RUN)}/.DS_Store", b"x")
    blobs.put(f"{layout.chunk(RUN, 0)}/notes.txt", b"x")
    assert len(LogFiles(blobs, RUN).segments()) == 1
