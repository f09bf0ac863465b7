"""Results of earlier runs, by cache key: what a host asks before it runs a task.

Hosts publish their results as files of level 0, each immutable and under a unique name, so nobody
is in anybody's way; compaction folds them into sorted tiers (`cache_compaction`). A reader holds
entries of the files that are not folded in yet, and the fingerprints of the tiers: a miss costs no
read, a hit in a tier one, a batch one per shard it touches.

What a reader has not seen yet is a miss, never an error, and so is a file that has vanished or is
damaged. Of several entries with one key every reader takes the same (`cache_entries.beats`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid4

from flyte_ray.core.ports import Blobs, CacheEntry
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.cache_compaction import compact_cache, level_0_files, sweep_cache
from flyte_ray.store.cache_entries import (
    Entry,
    decode_entries,
    encode_entries,
    stored_form,
    take_in,
)
from flyte_ray.store.cache_manifest import Manifest, newest_number, read_manifest
from flyte_ray.store.cache_tiers import Tier, TierReader
from flyte_ray.store.parallel import in_parallel

__all__ = ["Entry", "StoredCache", "decode_entries", "encode_entries"]

logger = logging.getLogger(__name__)

COMPACT_FROM_FILES = 64
"""A publisher that sees so many files which are in no tier folds them in."""

_LOCAL_REFRESH_S = 0.25
_REMOTE_REFRESH_S = 5.0
_MOST_MERGED_BESIDE_WORK = 65_536
"""Rows; about a second of this process. `flyte-ray store compact` merges the rest."""
_MOST_HELD = 200_000
"""Entries kept in memory; more are dropped and found in the tiers again."""


class StoredCache:
    """`CacheIndex` on a store. Thread-safe.

    Args:
        blobs: the store.
        refresh_s: how old the list of files may be when a key is asked for that is not known;
            None for a quarter of a second on a local store and five seconds elsewhere.
    """

    def __init__(self, blobs: Blobs, *, refresh_s: float | None = None) -> None:
        self._blobs = blobs
        self._is_local = is_local(blobs)
        default_s = _LOCAL_REFRESH_S if self._is_local else _REMOTE_REFRESH_S
        self._refresh_s = default_s if refresh_s is None else refresh_s
        self._lock = threading.Lock()
        # Below: under the lock.
        self._listed_s = float("-inf")
        self._manifest = Manifest()
        self._tiers: dict[Tier, TierReader] = {}
        self._read: set[str] = set()
        self._loose: dict[str, Entry] = {}
        """Of level-0 files that were in no tier when they were read."""
        self._resolved: dict[str, Entry] = {}
        """Entries that were compared with every file there was."""
        self._compactor: threading.Thread | None = None

    def look_up(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries there are for these keys; nothing is read for those known, and for misses.

        Costs one read per shard in which a key stands, all at once, and two LISTs now and then.
        """
        with self._lock:
            missing = any(key not in self._resolved and key not in self._loose for key in keys)
            if missing and self._is_stale():
                self._refresh()
            self._resolve([key for key in keys if key not in self._resolved])
            return {key: self._resolved[key] for key in keys if key in self._resolved}

    def reads_for(self, keys: Sequence[str]) -> bool:
        """True if looking these keys up would read from the store. Never waits for a read."""
        if not self._lock.acquire(blocking=False):
            return True
        try:
            unknown = [key for key in keys if key not in self._resolved]
            if not unknown:
                return False
            lists = self._is_stale() and not self._is_local
            if lists and any(key not in self._loose for key in unknown):
                return True
            return any(each.rows_of(key) for each in self._tiers.values() for key in unknown)
        finally:
            self._lock.release()

    def refresh(self) -> None:
        """Read what others have published; a host does so when a run begins."""
        with self._lock:
            self._refresh()

    def publish(self, entries: Sequence[CacheEntry]) -> None:
        """Store the entries as one file; this index answers with them at once."""
        if not entries:
            return
        new = [stored_form(each) for each in entries]
        name = f"{time.time_ns():020d}-{uuid4().hex}"
        self._blobs.put_new(layout.cache_entries(name), encode_entries(new))
        with self._lock:
            self._read.add(f"{name}.parquet")
            self._take_in(new)
            if len(self._read) >= COMPACT_FROM_FILES:
                self._begin_compaction()

    # ---- inside, under the lock

    def _is_stale(self) -> bool:
        return time.monotonic() - self._listed_s >= self._refresh_s

    def _refresh(self) -> None:
        self._listed_s = time.monotonic()
        # In this order: what is compacted in between is found twice rather than not at all.
        names = level_0_files(self._blobs)
        number = newest_number(self._blobs)
        if number > self._manifest.number:
            self._follow(number)
        new = [n for n in names if n not in self._read and n not in self._manifest.applied]
        for name, entries in zip(new, in_parallel(self._blobs, self._load, new), strict=True):
            if entries is not None:
                self._take_in(entries)
                self._read.add(name)

    def _follow(self, number: int) -> None:
        """Turn to a newer manifest; the readers of tiers that stay are kept."""
        try:
            manifest = read_manifest(self._blobs, number)
            new = [tier for tier in manifest.tiers if tier not in self._tiers]
            readers = in_parallel(
                self._blobs, lambda tier: TierReader(self._blobs, tier).load(), new
            )
        except (FileNotFoundError, StoreError, ConfigurationError) as error:
            logger.warning("the cache of %s is read as it was before: %s", self._blobs.url, error)
            return
        loaded = dict(zip(new, readers, strict=True))
        self._tiers = {tier: loaded.get(tier) or self._tiers[tier] for tier in manifest.tiers}
        self._manifest = manifest
        self._read.difference_update(manifest.applied)
        self._resolved.clear()  # somebody else's entries may have come in with the tiers
        if len(self._loose) > _MOST_HELD:
            self._loose.clear()
            self._read.clear()

    def _load(self, name: str) -> list[Entry] | None:
        """The entries of a file; None if the store does not answer: then it is asked again."""
        key = cache_layout.level_0(name)
        try:
            data = self._blobs.get(key)
        except StoreError as error:
            logger.warning("cache entries %s/%s are read later: %s", self._blobs.url, key, error)
            return None
        except FileNotFoundError as error:
            return self._left_out(key, error)
        try:
            return decode_entries(data)
        except (StoreError, ConfigurationError) as error:
            return self._left_out(key, error)

    def _left_out(self, key: str, error: Exception) -> list[Entry]:
        logger.warning("cache entries %s/%s are left out: %s", self._blobs.url, key, error)
        return []

    def _take_in(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            take_in(self._loose, [entry])
            self._resolved.pop(entry.key, None)

    def _resolve(self, keys: Sequence[str]) -> None:
        """Compare what level 0 has of these keys with what the tiers have."""
        if not keys:
            return
        wanted = frozenset(keys)
        found = {key: self._loose[key] for key in wanted if key in self._loose}
        for reader in list(self._tiers.values()):
            rows = [row for key in wanted for row in reader.rows_of(key)]
            if rows:
                take_in(found, self._entries_at(reader, rows, wanted))
        if len(self._resolved) > _MOST_HELD:
            self._resolved.clear()
        self._resolved.update(found)

    def _entries_at(
        self, reader: TierReader, rows: Sequence[int], wanted: frozenset[str]
    ) -> list[Entry]:
        found, lost = reader.entries_at(rows)
        if lost:
            # Merged and swept since we listed: look again at once, not in a few seconds.
            self._listed_s = float("-inf")
        for shard in lost:
            logger.warning("cache entries %s/%s cannot be read", self._blobs.url, shard)
        return [entry for entry in found if entry.key in wanted]

    def _begin_compaction(self) -> None:
        if self._compactor is not None and self._compactor.is_alive():
            return
        # No daemon: a script that ends now would otherwise never get round to it.
        self._compactor = threading.Thread(target=self._compact, name="flyte-ray-cache")
        self._compactor.start()

    def _compact(self) -> None:
        try:
            done = compact_cache(self._blobs, most_rows=_MOST_MERGED_BESIDE_WORK)
            sweep_cache(self._blobs)
        except (StoreError, ConfigurationError, OSError) as error:
            logger.warning("the cache of %s is compacted later: %s", self._blobs.url, error)
            return
        logger.debug("compacted the cache of %s: %s", self._blobs.url, done)
        self.refresh()
