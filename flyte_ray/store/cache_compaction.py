"""Folds published files into tiers, and sweeps away what no reader needs any more.

Anyone may compact at any time, several at once too: a compactor writes files nobody knows of, then
puts the next manifest; if another was faster it throws its files away and begins again. A crash
leaves files that no manifest names; the sweep removes them. Nothing that counts is ever changed,
and merging what was merged before changes nothing (`cache_entries`: the order is total).

Tiers grow by merging: new entries are merged with every tier that is at most `GROWTH` times as
large, so n entries lie in about log(n) tiers and each was rewritten about as often.

The sweep removes, after `GRACE`: level-0 files whose entries are in tiers, tiers merged into
others, old manifests, and files of crashed compactors. It first puts a manifest of its own: a
compactor that slept through the grace then loses the race for its number, so no manifest ever
names a swept file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from flyte_ray.core.model import utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.cache_entries import Entry, decode_entries, take_in
from flyte_ray.store.cache_manifest import (
    Manifest,
    Retired,
    newest_number,
    put_manifest,
    read_manifest,
)
from flyte_ray.store.cache_tiers import SHARD_ROWS, Tier, read_tier, write_tier
from flyte_ray.store.parallel import in_parallel

logger = logging.getLogger(__name__)

GROWTH = 4
GRACE = timedelta(hours=1)
_TURNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What one compaction did."""

    files: int = 0
    """Level-0 files folded in; 0 when there was nothing to do."""
    rows: int = 0
    """Entries in the tiers now."""
    tiers: int = 0
    removed: int = 0
    """Objects swept away."""


def compact_cache(
    blobs: Blobs,
    *,
    now_us: int | None = None,
    shard_rows: int = SHARD_ROWS,
    most_rows: int | None = None,
) -> Compacted:
    """Fold every level-0 file there is into the tiers. Idempotent; safe beside anyone.

    `most_rows`: leave larger merges to others (about 15 µs a row are spent); None: do them.

    Raises:
        StoreError: the store failed; nothing is lost, and the next compaction goes on.
    """
    now = utc_now_us() if now_us is None else now_us
    for _ in range(_TURNS):
        manifest = _current(blobs)
        fresh = _unapplied(blobs, manifest)
        if not fresh:
            return _report(manifest)
        entries, read = _read_level_0(blobs, fresh)
        kept, merged = _split(manifest.tiers, len(entries), most_rows)
        if not _take_in_tiers(blobs, manifest, merged, entries):
            continue
        tier = write_tier(blobs, entries.values(), now * 1000, shard_rows=shard_rows)
        retired = tuple(Retired(tier=each, since_us=now) for each in merged)
        following = Manifest(
            number=manifest.number + 1,
            created_us=now,
            tiers=(*kept, tier) if entries else kept,
            applied={**manifest.applied, **dict.fromkeys(read, now)},
            retired=(*manifest.retired, *retired),
        )
        if entries and put_manifest(blobs, following):
            return replace(_report(following), files=len(read))
        blobs.delete(tier.objects())
        if not entries:
            return _report(manifest)
    return Compacted()  # others keep compacting; they do the work


def sweep_cache(
    blobs: Blobs, *, older_than: timedelta = GRACE, now_us: int | None = None, dry_run: bool = False
) -> list[str]:
    """Remove what no reader needs; the keys that were (or would be) removed.

    Raises:
        StoreError: the store failed; what is left is removed by the next sweep.
    """
    now = utc_now_us() if now_us is None else now_us
    before = now - int(older_than.total_seconds() * 1e6)
    manifest = _current(blobs)
    if manifest.number < 0:
        return []
    spent = [name for name, since in manifest.applied.items() if since < before]
    gone = [each.tier for each in manifest.retired if each.since_us < before]
    keys = [cache_layout.level_0(name) for name in spent]
    keys += [key for tier in gone for key in tier.objects()]
    keys += _leftovers(blobs, manifest, before)
    keys += _old_manifests(blobs, manifest, before)
    if dry_run or not keys:
        return keys
    fence = replace(manifest, number=manifest.number + 1, created_us=now)
    if not put_manifest(blobs, fence):
        return []  # somebody is at work: next time
    blobs.delete(keys)
    listed = frozenset(spent)
    swept = replace(
        fence,
        number=fence.number + 1,
        applied={name: at for name, at in fence.applied.items() if name not in listed},
        retired=tuple(each for each in fence.retired if each.tier not in gone),
    )
    # If this one loses its race, the same keys are found, and removed, once more.
    put_manifest(blobs, swept)
    return keys


def all_entries(blobs: Blobs) -> dict[str, Entry]:
    """Every entry that counts, by key: for the sweeper of runs, for tables, for people.

    Costs the reading of the whole cache.

    Raises:
        StoreError: the store failed, or the cache changes faster than it can be read.
    """
    for _ in range(_TURNS):
        manifest = _current(blobs)
        entries, _read = _read_level_0(blobs, _unapplied(blobs, manifest))
        if _take_in_tiers(blobs, manifest, manifest.tiers, entries):
            return entries
    raise StoreError(f"the cache of {blobs.url} changes faster than it can be read: try again.")


def counting_files(blobs: Blobs) -> list[str]:
    """Keys of the Parquet files that hold the cache now, for SQL engines that read them directly.

    A key may stand in several of them: `cache_entries.beats` says which row counts.
    """
    manifest = _current(blobs)
    fresh = [cache_layout.level_0(name) for name in _unapplied(blobs, manifest)]
    shards = [
        cache_layout.shard(tier.name, number)
        for tier in manifest.tiers
        for number in range(tier.shards)
    ]
    return [*shards, *fresh]


def level_0_files(blobs: Blobs) -> list[str]:
    """Names of the level-0 files there are."""
    return [name for name in blobs.list(cache_layout.LEVEL_0) if name.endswith(".parquet")]


def _current(blobs: Blobs) -> Manifest:
    for turn in range(_TURNS):
        try:
            return read_manifest(blobs)
        except FileNotFoundError:
            if turn == _TURNS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _unapplied(blobs: Blobs, manifest: Manifest) -> list[str]:
    return [name for name in level_0_files(blobs) if name not in manifest.applied]


def _read_level_0(blobs: Blobs, names: Sequence[str]) -> tuple[dict[str, Entry], list[str]]:
    """The entries by key, and which of the files are there and whole."""

    def load(name: str) -> list[Entry] | None:
        key = cache_layout.level_0(name)
        try:
            data = blobs.get(key)
        except FileNotFoundError:
            return None  # applied and swept since we looked
        try:
            return decode_entries(data)
        except (StoreError, ConfigurationError) as error:
            logger.warning("cache entries %s/%s are left out: %s", blobs.url, key, error)
            return None

    entries: dict[str, Entry] = {}
    read = []
    for name, found in zip(names, in_parallel(blobs, load, names), strict=True):
        if found is not None:
            take_in(entries, found)
            read.append(name)
    return entries, read


def _take_in_tiers(
    blobs: Blobs, manifest: Manifest, tiers: Sequence[Tier], entries: dict[str, Entry]
) -> bool:
    """Fold the tiers' entries in; False if another compactor and the sweep were quicker.

    Shards that are gone or damaged although they count are left out: what they held is computed
    again, which is better than a cache that can never be compacted any more. A store that does not
    answer has lost nothing: that is raised.
    """
    for tier in tiers:
        found, lost = read_tier(blobs, tier)
        if lost and newest_number(blobs) != manifest.number:
            return False
        for shard in lost:
            logger.warning("cache entries %s/%s are lost", blobs.url, shard)
        take_in(entries, found)
    return True


def _split(
    tiers: Sequence[Tier], rows: int, most_rows: int | None
) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """The tiers that stay, and those the new entries are merged with. Largest first."""
    stay = list(tiers)
    merged: list[Tier] = []
    while stay and stay[-1].rows <= GROWTH * rows:
        if most_rows is not None and rows + stay[-1].rows > most_rows:
            break
        merged.append(stay.pop())
        rows += merged[-1].rows
    return tuple(stay), tuple(merged)


def _leftovers(blobs: Blobs, manifest: Manifest, before_us: int) -> Iterable[str]:
    """Files of compactors that crashed or lost, by the time in the tier's name."""
    known = {tier.name for tier in manifest.tiers} | {each.tier.name for each in manifest.retired}
    for name in blobs.list(cache_layout.SHARDS):
        made_ns = layout.number(name.partition("-")[0])
        if name not in known and made_ns is not None and made_ns < before_us * 1000:
            for file in blobs.list(cache_layout.tier(name)):
                yield f"{cache_layout.tier(name)}/{file}"


def _old_manifests(blobs: Blobs, manifest: Manifest, before_us: int) -> list[str]:
    """All but the newest, once that one is old: nobody reads the others any more."""
    if manifest.created_us >= before_us:
        return []
    numbers = map(layout.number, blobs.list(cache_layout.MANIFESTS))
    return [cache_layout.manifest(n) for n in numbers if n is not None and n < manifest.number]


def _report(manifest: Manifest) -> Compacted:
    rows = sum(tier.rows for tier in manifest.tiers)
    return Compacted(rows=rows, tiers=len(manifest.tiers))
