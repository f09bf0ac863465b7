"""Folds a book into few large files: ranges of it while the run goes on, tables at its end.

What is folded (rule of `blocks`): aligned ranges of 256 slots, then of 16 such ranges, and so on,
so that each row is written again about log16(slots / 256) times, and everybody who folds folds the
same ranges. A range with much in it becomes several parts (`parts.groups_of`). At the end
neighbouring pieces become parts as large as may be, and the tables of docs/record.md are written
(`ending`).

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
from dataclasses import dataclass
from typing import Any

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.digests import InsideOf, LookInside, look_nowhere
from flyte_ray.store.ending import write_ending
from flyte_ray.store.final_tables import day_of
from flyte_ray.store.ownership import latest_epoch
from flyte_ray.store.parts import (
    Range,
    groups_of,
    list_slots,
    put_part,
    read_pieces,
    slots_of,
    without_spent,
)
from flyte_ray.store.run_file import read_run
from flyte_ray.store.summaries import merge_summaries, read_summaries, read_summary

logger = logging.getLogger(__name__)

SLOTS_A_PART = 256
FAN_IN = 16
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


def fold_blocks(blobs: Blobs, run: RunName, stored_below: int, *, done_below: int = 0) -> int:
    """Fold what is due of a run that goes on; how many parts were written. Idempotent.

    `stored_below`: every slot below is stored. `done_below`: what this was told the last time, if
    that is known; wide ranges are not looked at again then. Costs one LIST when nothing is due.
    """
    parts = without_spent(blobs, run)
    written = 0
    for block in blocks(stored_below):
        if block[1] < done_below or _is_folded(block, parts):
            continue
        slots = range(block[0], block[1] + 1)
        for group in groups_of(read_pieces(blobs, run, slots, parts)):
            if (group[0].first, group[-1].last) not in parts:
                parts = put_part(blobs, run, group, parts)
                written += 1
    return written


def _is_folded(block: Range, parts: list[Range]) -> bool:
    """Narrow blocks may be several parts, if there is much in them; wide ones are to be one."""
    if any(part[0] <= block[0] and block[1] <= part[1] for part in parts):
        return True
    is_narrow = block[1] - block[0] < SLOTS_A_PART
    return is_narrow and not set(range(block[0], block[1] + 1)) - slots_of(parts)


def compact_run(
    blobs: Blobs,
    name: str,
    *,
    look_inside: LookInside = look_nowhere,
    epochs: Mapping[str, int] | None = None,
) -> Compacted:
    """Fold a run as far as it goes: its tables too, if it has ended. Idempotent.

    `look_inside`: what works out the elements of plain containers, for the edges. `epochs`: see
    `is_compacted`.

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
            if is_compacted(blobs, run, final, epochs):
                return Compacted(run=run)
            parts = without_spent(blobs, run)
            written = write_ending(blobs, run, final, parts, look_inside)
            return Compacted(run=run, parts=written, tables=True)
        except FileNotFoundError:
            continue  # another compactor took a part away that we were reading
    raise StoreError(f"the book of run {run!r} loses files while it is read: try again later")


def compact_store(
    blobs: Blobs, *, inside_of: InsideOf = lambda run: look_nowhere
) -> list[Compacted]:
    """`compact_run` for every run; one that is damaged is left as it is, with a warning."""
    found = []
    epochs = summary_epochs(blobs)
    for name in blobs.list(layout.RUNS):
        inside = inside_of(RunName(name))
        try:
            found.append(compact_run(blobs, name, look_inside=inside, epochs=epochs))
        except LookupError:
            continue  # no run.json: being made or removed
        except (StoreError, ConfigurationError) as error:
            logger.warning("run %s is not compacted: %s", name, error)
    merge_summaries(blobs, at_least=2)
    return found


def summary_epochs(blobs: Blobs) -> dict[str, int]:
    """The epoch under which each folded run had ended."""
    return {name: row["epoch"] or 0 for name, row in read_summaries(blobs).items()}


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


def is_compacted(
    blobs: Blobs,
    run: RunName,
    final: Mapping[str, Any],
    epochs: Mapping[str, int] | None = None,
) -> bool:
    """True if everything that belongs to this end of the run has been written.

    `epochs`: those of `summary_epochs`, for who asks of many runs.
    """
    if not blobs.exists(layout.actions_table(run)):
        return False  # the first end of a run need not look through the rows of all others
    if epochs is not None:
        return bool(epochs.get(run) == final["epoch"])
    found = read_summary(blobs, run, day_of(read_run(blobs, run)))
    ends: list[int | None] = [] if found is None else found.table.column("epoch").to_pylist()
    return ends == [final["epoch"]]


def _stored_below(blobs: Blobs, run: RunName) -> int:
    """The lowest slot that is not stored."""
    slots = list_slots(blobs, run)
    return next((n for n, slot in enumerate(slots) if n != slot), len(slots))
