"""Sorted cache entries in shards, with one fingerprint a row: how a miss costs no read.

A tier is written once and never changed. Its entries are sorted by fingerprint (8 bytes) and lie in
Parquet files of `SHARD_ROWS` rows; all fingerprints together, 8 bytes a row, little-endian, are one
object (8 MB for a million). A reader that holds them answers "not here" from memory and knows of a
hit in which row of which shard it stands: one read, however large the tier.

    cache/shards/<tier>/fingerprints
    cache/shards/<tier>/<shard>.parquet     the same schema as level 0

(Whole shards beat ranges of row groups for batches, and cost the same round trip for one key.)
"""

from __future__ import annotations

import sys
import threading
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import cache_layout
from flyte_ray.store.cache_entries import (
    Entry,
    EntryColumns,
    decode_entries,
    encode_entries,
    fingerprint,
)
from flyte_ray.store.parallel import in_parallel

T = TypeVar("T")

SHARD_ROWS = 4096
SHARDS_HELD = 8
"""Of each tier, some megabytes in all: callers ask in batches, and their keys lie in all shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What the manifest says of one tier."""

    name: str
    """Begins with the time of its making in nanoseconds, for the sweeper."""
    rows: int
    shard_rows: int = SHARD_ROWS

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.rows // self.shard_rows)

    def objects(self) -> list[str]:
        """Every object of the tier."""
        shards = [cache_layout.shard(self.name, number) for number in range(self.shards)]
        return [cache_layout.fingerprints(self.name), *shards]


def write_tier(
    blobs: Blobs, entries: Iterable[Entry], now_ns: int, *, shard_rows: int = SHARD_ROWS
) -> Tier:
    """Store the entries (one per key) as a new tier. Nobody reads it until a manifest names it."""
    marked = sorted((fingerprint(entry.key), entry.key, entry) for entry in entries)
    name = f"{now_ns:020d}-{uuid4().hex[:12]}"
    tier = Tier(name=name, rows=len(marked), shard_rows=shard_rows)

    def write(number: int) -> None:
        part = marked[number * shard_rows : (number + 1) * shard_rows]
        blobs.put(cache_layout.shard(name, number), encode_entries([each[2] for each in part]))

    in_parallel(blobs, write, range(tier.shards))
    blobs.put(cache_layout.fingerprints(name), _little_endian([each[0] for each in marked]))
    return tier


class TierReader:
    """Finds entries of one tier. Thread-safe once loaded."""

    def __init__(self, blobs: Blobs, tier: Tier) -> None:
        self._blobs = blobs
        self._tier = tier
        self._fingerprints = array("Q")
        self._lock = threading.Lock()
        self._held: dict[int, EntryColumns] = {}
        """The shards that were asked of last, the latest one at the end."""

    @property
    def tier(self) -> Tier:
        """What is read."""
        return self._tier

    def load(self) -> TierReader:
        """Fetch the fingerprints: one read.

        Raises:
            FileNotFoundError: the tier was merged into another one, and swept away.
            StoreError: the object is not what the manifest promised.
        """
        data = self._blobs.get(cache_layout.fingerprints(self._tier.name))
        if len(data) != 8 * self._tier.rows:
            raise StoreError(f"the fingerprints of cache tier {self._tier.name} are damaged")
        found = array("Q")
        found.frombytes(data)
        if sys.byteorder == "big":
            found.byteswap()
        self._fingerprints = found
        return self

    def rows_of(self, key: str) -> range:
        """The rows in which the key may stand: nearly always none or one. Reads nothing."""
        fingerprints, wanted = self._fingerprints, fingerprint(key)
        first = last = bisect_left(fingerprints, wanted)
        while last < len(fingerprints) and fingerprints[last] == wanted:
            last += 1
        return range(first, last)

    def entries_at(self, rows: Iterable[int]) -> tuple[list[Entry], list[str]]:
        """The entries in these rows, and the keys of shards that cannot be read, for any reason.

        Costs one read per shard, many at once.
        """
        by_shard: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            shard, place = divmod(row, self._tier.shard_rows)
            by_shard[shard].append(place)

        def read(shard: int) -> list[Entry] | None:
            wanted = by_shard[shard]
            try:
                # From about half of the rows on, decoding all at once is quicker.
                if len(wanted) * 2 > self._tier.shard_rows:
                    return _read_shard(self._blobs, self._tier, shard, decode_entries)
                opened = self._opened(shard)
                return None if opened is None else opened.entries(wanted)
            except StoreError:
                return None

        return _gathered(self._tier, by_shard, in_parallel(self._blobs, read, by_shard))

    def _opened(self, shard: int) -> EntryColumns | None:
        """The shard, of which somebody asked lately or which is read now."""
        with self._lock:
            known = self._held.pop(shard, None)
        if known is None:
            known = _read_shard(self._blobs, self._tier, shard, EntryColumns)
        if known is None:
            return None
        with self._lock:
            self._held[shard] = known
            if len(self._held) > SHARDS_HELD:
                del self._held[next(iter(self._held))]
        return known


def read_tier(blobs: Blobs, tier: Tier) -> tuple[list[Entry], list[str]]:
    """All entries of a tier, and the keys of those of its shards that are gone or damaged.

    Raises:
        StoreError: the store does not answer, which says nothing of what it holds.
    """

    def read(shard: int) -> list[Entry] | None:
        return _read_shard(blobs, tier, shard, decode_entries)

    shards = range(tier.shards)
    return _gathered(tier, shards, in_parallel(blobs, read, shards))


def _read_shard(blobs: Blobs, tier: Tier, shard: int, decode: Callable[[bytes], T]) -> T | None:
    """The shard; None if it is gone or damaged. Raises `StoreError` if the store is away."""
    try:
        data = blobs.get(cache_layout.shard(tier.name, shard))
    except FileNotFoundError:
        return None
    try:
        return decode(data)
    except StoreError:
        return None


def _gathered(
    tier: Tier, shards: Iterable[int], parts: Iterable[list[Entry] | None]
) -> tuple[list[Entry], list[str]]:
    """The entries of all parts; the keys of the shards of which there is none."""
    entries: list[Entry] = []
    lost = []
    for shard, part in zip(shards, parts, strict=True):
        if part is None:
            lost.append(cache_layout.shard(tier.name, shard))
        else:
            entries += part
    return entries, lost


def _little_endian(numbers: Sequence[int]) -> bytes:
    packed = array("Q", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
