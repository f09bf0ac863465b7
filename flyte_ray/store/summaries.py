"""The rows of ended runs in `catalog/runs/`: ten thousand runs in a few reads.

The end of a run puts its row as a file of its own. When there are `MERGE_FROM` of those, whoever
ends a run merges them, with every merged file at most four times as large, so that a few files hold
all rows and each row is written again a few times. First the new file is put, then the old ones are
deleted: a crash leaves rows twice, never none. An old one that is gone by then was written anew by
somebody else, perhaps without the row of a run that is removed: then the new one is taken back. Of
several rows of one run the highest epoch counts.

Rows only spare work: a run without one is looked at itself, so nothing depends on when somebody
merges. One that is resumed or removed is marked first (`mark_reopened`), by the epoch that the new
owner is about to claim: rows of lower epochs count no more. Marks may outlive their cause; then too
the run is looked at itself.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import uuid4

import pyarrow as pa

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.schemas import RUNS, RUNS_VERSION
from flyte_ray.store.tables import StoredTable, column, fitted, lists, read_table, write_table

logger = logging.getLogger(__name__)

MERGE_FROM = 64
LARGEST_ROWS = 50_000
"""Files of more rows are left as they are."""
REMOVED = 10**6 - 1
"""The mark of a run that is being removed: no epoch is as high."""
_GROWTH = 4
_TURNS = 5


def read_summaries(blobs: Blobs) -> dict[str, dict[str, Any]]:
    """The row of each ended run (columns of `schemas.RUNS`, times as microseconds).

    Costs a LIST per day that has rows of its own, and a read per file.
    """
    found: dict[str, dict[str, Any]] = {}
    for _, stored in _read_all(blobs):
        columns = lists(stored.table, RUNS)
        for values in zip(*(columns[name] for name in RUNS.names), strict=True):
            row = dict(zip(RUNS.names, values, strict=True))
            known = found.get(row["run"])
            if known is None or (row["epoch"] or 0) > (known["epoch"] or 0):
                found[row["run"]] = row
    return found


def read_summary(blobs: Blobs, run: RunName, day: str) -> StoredTable | None:
    """The row of one run, as a table of one; None if it has not ended, or is not folded yet."""
    own = _read(blobs, layout.run_summary(run, day))
    if own is not None:
        return own
    best, epoch = None, -1
    for _, stored in _read_all(blobs, merged_only=True):
        columns = lists(stored.table.select(["run", "epoch"]), _ENDS)
        for place, (name, there) in enumerate(zip(*columns.values(), strict=True)):
            if name == run and (there or 0) > epoch:
                best, epoch = stored, there or 0
                table = stored.table.slice(place, 1)
                best = StoredTable(table=table, version=stored.version, metadata=stored.metadata)
    return best


def merge_summaries(blobs: Blobs, *, at_least: int | None = None) -> int:
    """Merge the files of single runs, if there are so many (None: `MERGE_FROM`); how many.

    Idempotent.
    """
    single = _single_files(blobs)
    if len(single) < (MERGE_FROM if at_least is None else at_least):
        return 0
    chosen, rows = list(single), len(single)
    for name in sorted(blobs.list(layout.MERGED_SUMMARIES)):
        size = layout.merged_rows(name)
        if size is not None and size <= min(_GROWTH * rows, LARGEST_ROWS):
            chosen.append(f"{layout.MERGED_SUMMARIES}/{name}")
            rows += size
    files = [(key, _read(blobs, key)) for key in chosen]
    whole = [(key, stored) for key, stored in files if stored is not None]
    if not _replace(blobs, whole, set(blobs.list(layout.RUNS))):
        return 0
    _sweep_marks(blobs)
    return len(single)


def merge_is_due(blobs: Blobs) -> bool:
    """True if there are so many files of single runs that they should be merged. A few LISTs."""
    return len(_single_files(blobs)) >= MERGE_FROM


def drop_summaries(blobs: Blobs, runs: Collection[str]) -> None:
    """Remove the rows of runs that are being removed."""
    gone = set(runs)
    for _ in range(_TURNS):  # until a look finds none: others may have written what they had read
        own = [key for key in _single_files(blobs) if _run_of(key) in gone]
        shared = [
            (key, stored, names)
            for key, stored in _read_all(blobs, merged_only=True)
            if (names := set(stored.table.column("run").to_pylist())) & gone
        ]
        if not own and not shared:
            return
        for key, stored, names in shared:
            _replace(blobs, [(key, stored)], names - gone)
        blobs.delete(own)


def mark_reopened(blobs: Blobs, run: RunName, epoch: int) -> None:
    """Say, before it is done, that a run is claimed under this epoch (or `REMOVED`)."""
    blobs.put(layout.reopened(run, epoch), b"{}")


def clear_marks(blobs: Blobs, runs: Collection[str]) -> None:
    """Forget the marks of runs of which nothing is left."""
    names = blobs.list(layout.REOPENED)
    blobs.delete(
        f"{layout.REOPENED}/{name}" for name in names if layout.reopened_run(name)[0] in runs
    )


def reopened(blobs: Blobs) -> dict[str, int]:
    """The highest epoch under which runs were marked; ask before reading rows. One LIST."""
    found: dict[str, int] = {}
    for name in blobs.list(layout.REOPENED):
        run, epoch = layout.reopened_run(name)
        found[run] = max(epoch, found.get(run, 0))
    return found


_ENDS = pa.schema([RUNS.field("run"), RUNS.field("epoch")])


def _single_files(blobs: Blobs) -> list[str]:
    days = [day for day in blobs.list(layout.SUMMARIES) if day != layout.MERGED]
    folders = [layout.run_summaries(day) for day in days]
    listed = in_parallel(blobs, blobs.list, folders)
    return [f"{at}/{name}" for at, names in zip(folders, listed, strict=True) for name in names]


def _merged_files(blobs: Blobs) -> list[str]:
    names = blobs.list(layout.MERGED_SUMMARIES)
    return [f"{layout.MERGED_SUMMARIES}/{name}" for name in names]


def _run_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".parquet")


def _read_all(blobs: Blobs, *, merged_only: bool = False) -> list[tuple[str, StoredTable]]:
    """Every file with rows, single ones first: what is merged meanwhile is read twice."""
    keys: list[str] = []
    for _ in range(_TURNS):
        keys = [] if merged_only else _single_files(blobs)
        keys += _merged_files(blobs)
        try:
            found = in_parallel(blobs, lambda key: _read(blobs, key, must_be=True), keys)
        except FileNotFoundError:
            continue  # merged since it was listed
        return [(key, each) for key, each in zip(keys, found, strict=True) if each is not None]
    return [(key, each) for key in keys if (each := _read(blobs, key)) is not None]


def _read(blobs: Blobs, key: str, *, must_be: bool = False) -> StoredTable | None:
    try:
        data = blobs.get(key)
    except FileNotFoundError:
        if must_be:
            raise
        return None
    try:
        stored = read_table(data, RUNS_VERSION)
    except (StoreError, ConfigurationError) as error:
        logger.warning("%s/%s is passed over: %s", blobs.url, key, error)
        return None
    return stored if set(_ENDS.names) <= set(stored.table.column_names) else None


def _replace(blobs: Blobs, files: Iterable[tuple[str, StoredTable]], runs: Collection[str]) -> bool:
    """One file in the place of several, with the rows of these runs only.

    False if one of the files has vanished meanwhile: whoever took it away has written what still
    counts of it, and perhaps left out the row of a run that is removed. So nothing is replaced.
    """
    given = list(files)
    whole = pa.concat_tables([each.table for _, each in given], promote_options="default")
    newest: dict[str, tuple[int, int]] = {}
    columns = lists(fitted(whole, _ENDS), _ENDS)
    for place, (run, epoch) in enumerate(zip(*columns.values(), strict=True)):
        if run in runs and (epoch or 0) >= newest.get(run, (0, 0))[0]:
            newest[run] = (epoch or 0, place)
    kept = sorted(place for _, place in newest.values())
    if kept:
        table = whole.take(column(kept, pa.int64()))
        version = max(each.version for _, each in given)
        new = layout.merged_summaries(len(kept), uuid4().hex)
        blobs.put(new, write_table(table, version, {}))
        if not {key for key, _ in given} <= {*_single_files(blobs), *_merged_files(blobs)}:
            blobs.delete([new])
            return False
    blobs.delete(key for key, _ in given)
    return True


def _sweep_marks(blobs: Blobs) -> None:
    """Remove marks that no row needs any more: the run is gone, or ended anew since."""
    marks = blobs.list(layout.REOPENED)
    if not marks:
        return
    rows = read_summaries(blobs)
    there = set(blobs.list(layout.RUNS))
    spent = []
    for name in marks:
        run, epoch = layout.reopened_run(name)
        row: Mapping[str, Any] = rows.get(run, {})
        if run not in there or (row.get("epoch") or 0) >= epoch:
            spent.append(f"{layout.REOPENED}/{name}")
    blobs.delete(spent)
