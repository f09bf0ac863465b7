"""One reusable result, the bytes of a file of them, and which of two with one key counts.

Of several entries with one key the earliest counts, whatever the order of reading, so all runs see
one value; except that an entry which `overwrites` (a recomputation that was asked for, or because
the old result was too old or gone) takes the place of every earlier one. The order is total, so
merging files in any order, twice, or not at all gives every reader the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flyte_ray.core.ports import CacheEntry
from flyte_ray.errors import StoreError
from flyte_ray.store.schemas import CACHE_ENTRIES, CACHE_ENTRIES_VERSION
from flyte_ray.store.tables import from_parquet, to_parquet

_HEX_KEY_LENGTH = 64


@dataclass(slots=True, kw_only=True)  # not frozen: the port's attributes are plain ones
class Entry:
    """`CacheEntry` as stored; nobody changes it."""

    key: str
    created_us: int
    run: str
    action_id: str
    task: str
    outputs: str
    """JSON of the payload; large values are named by the keys of the run that made them."""
    overwrites: bool = False
    """Takes the place of every earlier entry of this key."""


def stored_form(entry: CacheEntry) -> Entry:
    """The entry as it is stored."""
    if isinstance(entry, Entry):
        return entry
    return Entry(
        key=entry.key,
        created_us=entry.created_us,
        run=entry.run,
        action_id=entry.action_id,
        task=entry.task,
        outputs=entry.outputs,
        overwrites=bool(getattr(entry, "overwrites", False)),
    )


def beats(entry: Entry, other: Entry) -> bool:
    """True if of two entries with one key this one counts."""
    if entry.overwrites != other.overwrites:
        return entry.overwrites
    if entry.overwrites:
        return _age(entry) > _age(other)
    return _age(entry) < _age(other)


def take_in(known: dict[str, Entry], entries: Iterable[Entry]) -> None:
    """Fold entries into those known, so that per key the one that counts is left."""
    for entry in entries:
        other = known.get(entry.key)
        if other is None or beats(entry, other):
            known[entry.key] = entry


def fingerprint(key: str) -> int:
    """64 bits that tell keys apart, nearly always: the head of a digest, of other keys a hash."""
    if len(key) == _HEX_KEY_LENGTH:
        try:
            return int(key[:16], 16)
        except ValueError:
            pass
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "backslashreplace")).digest()[:8])


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """The bytes of one file, in the order given."""
    return to_parquet(
        {
            "key": [entry.key for entry in entries],
            "created": [entry.created_us for entry in entries],
            "run": [entry.run for entry in entries],
            "action_id": [entry.action_id for entry in entries],
            "task": [entry.task for entry in entries],
            "outputs": [entry.outputs for entry in entries],
            "overwrites": [entry.overwrites for entry in entries],
        },
        CACHE_ENTRIES,
        CACHE_ENTRIES_VERSION,
    )


def decode_entries(data: bytes) -> list[Entry]:
    """The entries of one file. Raises `StoreError` for anything else."""
    columns = from_parquet(data, CACHE_ENTRIES, CACHE_ENTRIES_VERSION)
    rows = zip(*(columns[name] for name in CACHE_ENTRIES.names), strict=True)
    return [found for row in rows if (found := _entry(row)) is not None]


class EntryColumns:
    """A file of entries of which some are wanted; the rest stays undecoded."""

    def __init__(self, data: bytes) -> None:
        """Raises `StoreError` for bytes that are no file of this release's schema."""
        try:
            table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            self._columns = [_column(table.column(name)) for name in CACHE_ENTRIES.names]
        except (pa.ArrowException, OSError, KeyError) as error:
            raise StoreError(f"not a whole file of cache entries ({error})") from error

    def entries(self, rows: Sequence[int]) -> list[Entry]:
        """The entries in these rows. Raises `StoreError` if there are no such rows."""
        try:
            found = [_entry(tuple(column[row].as_py() for column in self._columns)) for row in rows]
        except IndexError as error:
            raise StoreError(f"not a whole file of cache entries ({error})") from error
        return [entry for entry in found if entry is not None]


def _column(column: pa.ChunkedArray) -> pa.Array:
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    # As microseconds: a datetime per row costs more than the rest of the row.
    return whole.view(pa.int64()) if pa.types.is_timestamp(whole.type) else whole


def _entry(row: tuple[Any, ...]) -> Entry | None:
    key, created_us, run, action_id, task, outputs, overwrites = row
    if not key or outputs is None:
        return None
    return Entry(
        key=key,
        created_us=created_us or 0,
        run=run or "",
        action_id=action_id or "",
        task=task or "",
        outputs=outputs,
        overwrites=bool(overwrites),
    )


def _age(entry: Entry) -> tuple[int, str, str]:
    return entry.created_us, entry.run, entry.action_id
