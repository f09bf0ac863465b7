from __future__ import annotations

import logging

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.ids import RunName
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.parts import Piece, cover, encode_part, list_parts, load_part, read_pieces
from flyte_ray.store.schemas import LOG_VERSION
from flyte_ray.store.segments import encode
from flyte_ray.store.tables import StoredTable, read_table, write_table
from tests.unit.store.books import success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")


def put(blobs: DictBlobs, *slots: int) -> None:
    for slot in slots:
        blobs.put(layout.segment(RUN, slot), encode([success(f"a{slot}")], slot, 1))


def fold(blobs: DictBlobs, first: int, last: int) -> None:
    pieces = list(read_pieces(blobs, RUN, range(first, last + 1), ()))
    blobs.put(layout.part(RUN, first, last), encode_part(pieces))


ranges = st.tuples(st.integers(0, 60), st.integers(0, 30)).map(lambda r: (r[0], r[0] + r[1]))


@given(st.lists(ranges, max_size=12))
def test_a_cover_holds_every_slot_of_every_part_once(parts: list[tuple[int, int]]) -> None:
    held: list[int] = []
    for (first, last), start in cover(parts):
        assert first <= start <= last
        held += range(start, last + 1)
    assert held == sorted({slot for a, b in parts for slot in range(a, b + 1)})


def test_a_book_is_read_from_its_parts_and_the_slots_after_them() -> None:
    blobs = DictBlobs()
    put(blobs, *range(6))
    fold(blobs, 0, 3)
    blobs.calls.clear()
    assert [e.action_id for e in LogFiles(blobs, RUN).events()] == [f"a{n}" for n in range(6)]
    assert blobs.calls["get"] == 3  # the part and two slots


def test_a_book_whose_log_was_taken_away_is_read_from_its_parts() -> None:
    blobs = DictBlobs()
    put(blobs, *range(4))
    fold(blobs, 0, 2)
    fold(blobs, 1, 3)
    blobs.delete([layout.segment(RUN, slot) for slot in range(4)])
    files = LogFiles(blobs, RUN)
    assert files.slots() == [0, 1, 2, 3]
    assert [e.action_id for e in files.events()] == ["a0", "a1", "a2", "a3"]


def test_a_log_that_vanishes_while_it_is_read_is_found_in_its_part() -> None:
    blobs = DictBlobs()
    put(blobs, 0, 1)
    taken: list[str] = []

    def take_away(operation: str, key: str) -> None:
        if operation == "get" and not taken:
            taken.append(key)
            fold(blobs, 0, 1)
            blobs.delete([layout.segment(RUN, slot) for slot in (0, 1)])

    blobs.before = take_away
    assert [e.action_id for e in LogFiles(blobs, RUN).events()] == ["a0", "a1"]


def test_a_part_that_makes_way_for_a_wider_one_is_no_loss() -> None:
    blobs = DictBlobs()
    put(blobs, *range(4))
    fold(blobs, 0, 1)
    swapped: list[str] = []

    def swap(operation: str, key: str) -> None:
        if operation == "get" and "parts" in key and not swapped:
            swapped.append(key)
            fold(blobs, 0, 3)
            blobs.delete([layout.part(RUN, 0, 1)])

    blobs.before = swap
    assert len(LogFiles(blobs, RUN).events()) == 4
    assert list_parts(blobs, RUN) == [(0, 3)]


def test_a_damaged_part_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    blobs = DictBlobs()
    put(blobs, 0, 1, 2)
    fold(blobs, 0, 1)
    blobs.objects[layout.part(RUN, 0, 1)] = b"half a file"
    with caplog.at_level(logging.WARNING):
        assert len(LogFiles(blobs, RUN).events()) == 3
        [piece] = read_pieces(blobs, RUN, [0, 1, 2], [(0, 1)])
    assert (piece.first, piece.last) == (0, 2)
    assert "passed over" in caplog.text


def test_a_part_that_lacks_a_slot_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    blobs = DictBlobs()
    put(blobs, 0, 1, 2)
    fold(blobs, 0, 1)
    blobs.objects[layout.part(RUN, 0, 2)] = blobs.objects[layout.part(RUN, 0, 1)]
    assert load_part(blobs, RUN, (0, 2)) is None
    assert "does not hold those slots" in caplog.text


def test_slots_that_are_not_all_there_are_not_folded() -> None:
    blobs = DictBlobs()
    put(blobs, 0, 2)
    pieces = list(read_pieces(blobs, RUN, [0, 2], ()))
    assert [(p.first, p.last) for p in pieces] == [(0, 0), (2, 2)]
    with pytest.raises(StoreError, match="not folded"):
        encode_part(pieces)


def test_columns_of_a_later_release_are_kept_when_a_book_is_folded() -> None:
    blobs = DictBlobs()
    put(blobs, 0, 1)
    key = layout.segment(RUN, 1)
    later = read_table(blobs.get(key), LOG_VERSION).table
    later = later.append_column("mood", pa.array(["good"]))
    blobs.objects[key] = write_table(later, LOG_VERSION, {})
    fold(blobs, 0, 1)
    part = load_part(blobs, RUN, (0, 1))
    assert part is not None
    assert part.table.column("mood").to_pylist() == [None, "good"]
    assert len(LogFiles(blobs, RUN).events()) == 2


def test_pieces_of_overlapping_parts_hold_each_row_once() -> None:
    blobs = DictBlobs()
    put(blobs, *range(8))
    fold(blobs, 1, 4)
    fold(blobs, 3, 6)
    pieces = list(read_pieces(blobs, RUN, range(8), list_parts(blobs, RUN)))
    assert [(p.first, p.last) for p in pieces] == [(0, 0), (1, 4), (5, 6), (7, 7)]
    slots = [slot for p in pieces for slot in p.rows.table.column("slot").to_pylist()]
    assert slots == list(range(8))
    whole = Piece(
        first=0,
        last=7,
        rows=StoredTable(
            table=pa.concat_tables([p.rows.table for p in pieces]), version=1, metadata={}
        ),
    )
    assert encode_part([whole])
