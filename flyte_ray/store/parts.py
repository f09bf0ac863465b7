"""Ranges of a book as one file each: how a long book stays quick to read.

A part holds the rows of the slots `first` to `last`, all of them and unchanged, with their slot and
epoch. Slots never change, so a part is derived data: whoever makes it gets the same rows, and
losing it loses nothing while its slots are there. Parts may overlap and need not be all there; a
reader takes any set that covers much, and the slots for the rest.

Rule: a part is made of whole segments only, of every slot in its range. Columns that this release
does not know are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.columns import pc
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.schemas import LOG_VERSION
from flyte_ray.store.tables import StoredTable, read_table, write_table

logger = logging.getLogger(__name__)

Range = tuple[int, int]
"""First and last slot, both included."""

SLOTS_A_READ = 32
"""So many are held at once; a segment has up to some megabytes."""
ROWS_A_PART = 250_000
BYTES_A_PART = 32 * 1024 * 1024
"""Of the rows in memory; the file is a third to a tenth of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some consecutive slots of a book as read, from a part or from their own files."""

    first: int
    last: int
    rows: StoredTable


def list_parts(blobs: Blobs, run: RunName) -> list[Range]:
    """The parts that there are now, sorted. One LIST."""
    found = map(layout.part_range, blobs.list(layout.parts(run)))
    return sorted(each for each in found if each is not None)


def list_slots(blobs: Blobs, run: RunName) -> list[int]:
    """Every slot that there is, in the log or in a part."""
    chunks = [n for n in map(layout.number, blobs.list(layout.log(run))) if n is not None]
    slots = slots_of(list_parts(blobs, run))
    for names in in_parallel(blobs, lambda n: blobs.list(layout.chunk(run, n)), chunks):
        slots.update(n for n in map(layout.number, names) if n is not None)
    return sorted(slots)


def cover(parts: Iterable[Range]) -> list[tuple[Range, int]]:
    """Parts that together hold every slot that any of them holds, and from where each is used.

    Example:
        >>> cover([(0, 9), (0, 99), (90, 120), (200, 210)])
        [((0, 99), 0), ((90, 120), 100), ((200, 210), 200)]
    """
    chosen: list[tuple[Range, int]] = []
    waiting = sorted(parts)
    position = 0
    while waiting:
        reachable = [part for part in waiting if part[0] <= position and part[1] >= position]
        if reachable:
            widest = max(reachable, key=lambda part: part[1])
            chosen.append((widest, position))
            position = widest[1] + 1
        waiting = [part for part in waiting if part[1] >= position]
        if waiting and not any(part[0] <= position for part in waiting):
            position = waiting[0][0]
    return chosen


def slots_of(parts: Iterable[Range]) -> set[int]:
    """Every slot that any of the parts holds."""
    return {slot for part in parts for slot in range(part[0], part[1] + 1)}


def groups_of(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Neighbouring pieces that make one part, as many as `ROWS_A_PART` and `BYTES_A_PART` allow."""
    group: list[Piece] = []
    rows = size_bytes = 0
    for piece in pieces:
        table = piece.rows.table
        rows, size_bytes = rows + table.num_rows, size_bytes + table.nbytes
        follows = not group or piece.first == group[-1].last + 1
        if group and (not follows or rows > ROWS_A_PART or size_bytes > BYTES_A_PART):
            yield group
            group, rows, size_bytes = [], table.num_rows, table.nbytes
        group.append(piece)
    if group:
        yield group


def _inside(parts: list[Range], block: Range) -> list[Range]:
    return [part for part in parts if block[0] <= part[0] and part[1] <= block[1]]


def without_spent(blobs: Blobs, run: RunName) -> list[Range]:
    """The parts there are, less the ones inside others that a crash has left: those are removed."""
    parts = list_parts(blobs, run)
    spent = {
        each
        for each in parts
        if any(o != each and o[0] <= each[0] and each[1] <= o[1] for o in parts)
    }
    blobs.delete(layout.part(run, *part) for part in spent)
    return [part for part in parts if part not in spent]


def put_part(
    blobs: Blobs, run: RunName, pieces: Sequence[Piece], parts: list[Range]
) -> list[Range]:
    """Write the part of these pieces, take the narrower ones away; the parts there are then."""
    block = (pieces[0].first, pieces[-1].last)
    # Somebody else's part of this range has the same rows, if not the same bytes.
    blobs.put_new(layout.part(run, *block), encode_part(pieces))
    spent = [part for part in _inside(parts, block) if part != block]
    blobs.delete(layout.part(run, *part) for part in spent)
    return sorted({*parts, block} - set(spent))


def load_part(blobs: Blobs, run: RunName, slots: Range) -> StoredTable | None:
    """The rows of a part; None, with a warning, if it is damaged or not what its name says.

    Raises:
        FileNotFoundError: a wider part has taken its place: list them again.
        StoreError: the store is away.
    """
    key = layout.part(run, *slots)
    data = blobs.get(key)
    try:
        rows = read_table(data, LOG_VERSION)
    except StoreError as error:
        logger.warning("%s/%s is passed over: %s", blobs.url, key, error)
        return None
    if is_complete(rows.table, slots):
        return rows
    logger.warning("%s/%s is passed over: it does not hold those slots", blobs.url, key)
    return None


def is_complete(table: pa.Table, slots: Range) -> bool:
    """True if the table has rows of every slot of the range, in order, and of no other."""
    if "slot" not in table.column_names:
        return False
    found = [slot for slot, _ in groupby(table.column("slot").to_pylist())]
    return found == list(range(slots[0], slots[1] + 1))


def encode_part(pieces: Sequence[Piece]) -> bytes:
    """The bytes of the part that holds the pieces, which follow each other without a gap."""
    version = max(piece.rows.version for piece in pieces)
    table = pa.concat_tables([piece.rows.table for piece in pieces], promote_options="default")
    first, last = pieces[0].first, pieces[-1].last
    if not is_complete(table, (first, last)):
        raise StoreError(f"the slots {first} to {last} are not all whole: they are not folded")
    return write_table(table, version, {"flyte_ray.slots": f"{first}-{last}"})


def read_pieces(
    blobs: Blobs, run: RunName, slots: Sequence[int], parts: Iterable[Range]
) -> Iterator[Piece]:
    """The rows of these slots (sorted), in order: from parts where there are, else one by one.

    A damaged part is passed over with a warning.

    Raises:
        FileNotFoundError: a part or slot has been taken away meanwhile: list again.
        StoreError: a segment is damaged.
    """
    wanted = [part for part in parts if slots and part[0] <= slots[-1] and slots[0] <= part[1]]
    rest = list(slots)
    for part, _ in cover(wanted):
        if not rest or rest[0] > part[1]:
            continue
        before = [slot for slot in rest if slot < part[0]]
        yield from _read_slots(blobs, run, before)
        rest = rest[len(before) :]
        rows = load_part(blobs, run, part)
        if rows is None:
            continue
        first, last = max(part[0], rest[0]), min(part[1], rest[-1])
        yield Piece(first=first, last=last, rows=_only(rows, part, (first, last)))
        rest = [slot for slot in rest if slot > last]
    yield from _read_slots(blobs, run, rest)


def rows_of_action(rows: pa.Table, action: str) -> pa.Table:
    """Of the rows of a book those of one action."""
    return rows.filter(pc.equal(rows.column("action_id"), action))


def _only(rows: StoredTable, part: Range, wanted: Range) -> StoredTable:
    """The rows of these slots of a part."""
    if part == wanted:
        return rows
    slots = rows.table.column("slot")
    mask = pc.and_(pc.greater_equal(slots, wanted[0]), pc.less_equal(slots, wanted[1]))
    return StoredTable(table=rows.table.filter(mask), version=rows.version, metadata=rows.metadata)


def _read_slots(blobs: Blobs, run: RunName, slots: Sequence[int]) -> Iterator[Piece]:
    for start in range(0, len(slots), SLOTS_A_READ):
        chunk = slots[start : start + SLOTS_A_READ]
        tables = in_parallel(blobs, lambda slot: _read_slot(blobs, run, slot), chunk)
        for run_of_slots in _without_gaps(chunk):
            low, high = run_of_slots
            among = tables[chunk.index(low) : chunk.index(high) + 1]
            yield Piece(
                first=low,
                last=high,
                rows=StoredTable(
                    table=pa.concat_tables(
                        [each.table for each in among], promote_options="default"
                    ),
                    version=max(each.version for each in among),
                    metadata={},
                ),
            )


def _read_slot(blobs: Blobs, run: RunName, slot: int) -> StoredTable:
    key = layout.segment(run, slot)
    data = blobs.get(key)
    try:
        return read_table(data, LOG_VERSION)
    except StoreError as error:
        raise StoreError(f"{blobs.url}/{key} is damaged, {error}: restore the file") from error


def _without_gaps(slots: Sequence[int]) -> Iterator[Range]:
    for _, group in groupby(enumerate(slots), key=lambda pair: pair[1] - pair[0]):
        members = [slot for _, slot in group]
        yield members[0], members[-1]
