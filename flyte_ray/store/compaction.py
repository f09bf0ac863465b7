"""Folds a book into few large files: ranges of it while the run goes on, tables at its end.

What is folded (rule of `blocks`): aligned ranges of 256 slots, then of 16 such ranges, and so on,
so that each row is written again about log16(slots / 256) times, and everybody who folds folds the
same ranges. At the end neighbouring pieces become parts of up to `ROWS_A_PART` rows, and the tables
of docs/record.md are written.

Every step stands alone and may be repeated or cut off anywhere: a part is put once, under the name
of its range, before the narrower ones inside it are taken away; tables are replaced whole; the
run's row in the catalog comes last, and says that all of it is done. Slots are never touched here.
Several at once, and readers and the writer beside them, do no harm: who loses a file while reading
lists again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Event
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.edges import read_payloads
from flyte_ray.store.final_tables import (
    EPOCH_KEY,
    actions_table,
    day_of,
    edges_table,
    root_of,
    run_row,
)
from flyte_ray.store.fold import fold
from flyte_ray.store.ownership import latest_epoch
from flyte_ray.store.parts import (
    Piece,
    Range,
    encode_part,
    list_parts,
    list_slots,
    read_pieces,
)
from flyte_ray.store.run_file import read_run
from flyte_ray.store.schemas import ACTIONS_VERSION, EDGES_VERSION, RUNS_VERSION
from flyte_ray.store.segments import FENCES, segments_of
from flyte_ray.store.tables import read_table, write_table

logger = logging.getLogger(__name__)

SLOTS_A_PART = 256
FAN_IN = 16
ROWS_A_PART = 250_000
_TURNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What one compaction did."""

    run: RunName
    parts: int = 0
    """Parts that were written."""
    tables: bool = False
    """The tables of the ended run were written."""


def blocks(stored_below: int) -> Iterator[Range]:
    """The ranges to fold when all slots below a number are stored; the narrow ones first.

    Example:
        >>> list(blocks(600))
        [(0, 255), (256, 511)]
    """
    width = SLOTS_A_PART
    while width <= stored_below:
        for first in range(0, stored_below - width + 1, width):
            yield first, first + width - 1
        width *= FAN_IN


def fold_blocks(blobs: Blobs, run: RunName, stored_below: int) -> int:
    """Fold what is due of a run that goes on; how many parts were written. Idempotent.

    `stored_below`: every slot below is stored. Costs one LIST when nothing is due.
    """
    parts = _without_spent(blobs, run)
    written = 0
    for first, last in blocks(stored_below):
        if any(part[0] <= first and last <= part[1] for part in parts):
            continue
        slots = range(first, last + 1)
        pieces = list(read_pieces(blobs, run, slots, parts))
        parts = _put_part(blobs, run, pieces, parts)
        written += 1
    return written


def compact_run(blobs: Blobs, name: str) -> Compacted:
    """Fold a run as far as it goes: its tables too, if it has ended. Idempotent.

    Raises:
        RunNotFoundError: there is no such run.
        StoreError: its book is damaged, or the store is away.
    """
    run = read_run(blobs, name).name
    for _ in range(_TURNS):
        try:
            final = final_of(blobs, run)
            if final is None:
                return Compacted(run=run, parts=fold_blocks(blobs, run, _stored_below(blobs, run)))
            if is_compacted(blobs, run, final):
                return Compacted(run=run)
            return _Ending(blobs, run, final).write()
        except FileNotFoundError:
            continue  # another compactor took a part away that we were reading
    raise StoreError(f"the book of run {run!r} loses files while it is read: try again later")


def compact_store(blobs: Blobs) -> list[Compacted]:
    """`compact_run` for every run; one that is damaged is left as it is, with a warning."""
    found = []
    for name in blobs.list(layout.RUNS):
        try:
            found.append(compact_run(blobs, name))
        except LookupError:
            continue  # no run.json: being made or removed
        except (StoreError, ConfigurationError) as error:
            logger.warning("run %s is not compacted: %s", name, error)
    return found


def final_of(blobs: Blobs, run: RunName) -> Mapping[str, Any] | None:
    """How the run ended under its latest owner; None while that one is at work."""
    found = [n for n in map(layout.number, blobs.list(layout.finals(run))) if n]
    if not found or max(found) < latest_epoch(blobs, run):
        return None
    key = layout.final(run, max(found))
    try:
        final: dict[str, Any] = json.loads(blobs.get(key))
    except ValueError as error:
        raise StoreError(f"{blobs.url}/{key} is damaged ({error}): remove it") from error
    return {"epoch": max(found), **final}


def is_compacted(blobs: Blobs, run: RunName, final: Mapping[str, Any]) -> bool:
    """True if everything that belongs to this end of the run has been written."""
    try:
        data = blobs.get(layout.run_summary(run, day_of(read_run(blobs, run))))
        found = read_table(data, RUNS_VERSION, ["epoch"])
    except (FileNotFoundError, StoreError):
        return False
    return bool(found.table.column("epoch").to_pylist() == [final["epoch"]])


def _inside(parts: list[Range], block: Range) -> list[Range]:
    return [part for part in parts if block[0] <= part[0] and part[1] <= block[1]]


def _without_spent(blobs: Blobs, run: RunName) -> list[Range]:
    """The parts there are, less the ones inside others that a crash has left: those are removed."""
    parts = list_parts(blobs, run)
    spent = {
        each
        for each in parts
        if any(o != each and o[0] <= each[0] and each[1] <= o[1] for o in parts)
    }
    blobs.delete(layout.part(run, *part) for part in spent)
    return [part for part in parts if part not in spent]


def _put_part(blobs: Blobs, run: RunName, pieces: list[Piece], parts: list[Range]) -> list[Range]:
    """Write the part of these pieces, take the narrower ones away; the parts there are then."""
    block = (pieces[0].first, pieces[-1].last)
    # Somebody else's part of this range has the same rows, if not the same bytes.
    blobs.put_new(layout.part(run, *block), encode_part(pieces))
    spent = [part for part in _inside(parts, block) if part != block]
    blobs.delete(layout.part(run, *part) for part in spent)
    return sorted({*parts, block} - set(spent))


def _stored_below(blobs: Blobs, run: RunName) -> int:
    """The lowest slot that is not stored."""
    slots = list_slots(blobs, run)
    return next((n for n, slot in enumerate(slots) if n != slot), len(slots))


@dataclass(slots=True)
class _Ending:
    """The last folding of a run that has ended."""

    blobs: Blobs
    run: RunName
    final: Mapping[str, Any]
    written: int = 0
    parts: list[Range] = field(default_factory=list)

    def write(self) -> Compacted:
        """All of it, in the order that the top of this room states."""
        spec = read_run(self.blobs, self.run)
        slots = list_slots(self.blobs, self.run)
        self.parts = _without_spent(self.blobs, self.run)
        actions = fold(self._events(slots))
        mark = {EPOCH_KEY: str(self.final["epoch"])}
        payloads = read_payloads(actions)
        edges = edges_table(self.run, actions, payloads)
        self.blobs.put(layout.edges_table(self.run), write_table(edges, EDGES_VERSION, mark))
        rows = actions_table(self.run, actions, payloads)
        self.blobs.put(layout.actions_table(self.run), write_table(rows, ACTIONS_VERSION, mark))
        row = run_row(spec, self.final, root_of(actions), len(actions))
        summary = write_table(row, RUNS_VERSION, mark)
        self.blobs.put(layout.run_summary(self.run, day_of(spec)), summary)
        return Compacted(run=self.run, parts=self.written, tables=True)

    def _events(self, slots: list[int]) -> Iterator[Event]:
        """The whole book in order; its pieces become parts as they pass by."""
        waiting: list[Piece] = []
        for piece in read_pieces(self.blobs, self.run, slots, self.parts):
            follows = not waiting or piece.first == waiting[-1].last + 1
            rows = sum(each.rows.table.num_rows for each in waiting) + piece.rows.table.num_rows
            if not follows or (waiting and rows > ROWS_A_PART):
                self._keep(waiting)
                waiting = []
            waiting.append(piece)
            for segment in segments_of(piece.rows.table):
                yield from (event for event in segment.events if event.kind not in FENCES)
        self._keep(waiting)

    def _keep(self, pieces: list[Piece]) -> None:
        """One part of the pieces, unless they are one already or a single segment."""
        if not pieces:
            return
        block = (pieces[0].first, pieces[-1].last)
        if block in self.parts or block[0] == block[1]:
            return
        self.parts = _put_part(self.blobs, self.run, pieces, self.parts)
        self.written += 1
