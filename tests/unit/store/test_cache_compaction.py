"""Folding published cache entries into tiers, and sweeping: nothing lost, nothing doubled."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import cache_index, cache_layout, layout
from flyte_ray.store.cache_compaction import (
    Compacted,
    all_entries,
    compact_cache,
    counting_files,
    sweep_cache,
)
from flyte_ray.store.cache_entries import Entry, encode_entries, fingerprint
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.cache_manifest import NONE_YET, newest_number, read_manifest
from flyte_ray.store.cache_tiers import TierReader, write_tier
from flyte_ray.store.local_blobs import LocalBlobs
from tests.unit.store.stores import DictBlobs

HOUR_US = 3_600_000_000
GOLDEN = Path(__file__).parent / "golden"


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def entry(number: int, created_us: int = 1, run: str = "r1", *, overwrites: bool = False) -> Entry:
    return Entry(
        key=key(number),
        created_us=created_us,
        run=run,
        action_id=f"a{number}",
        task="env.step",
        outputs="{}",
        overwrites=overwrites,
    )


def publish(blobs: Blobs, numbers: Iterable[int], **fields: object) -> None:
    StoredCache(blobs).publish([entry(number, **fields) for number in numbers])  # type: ignore[arg-type]


def find(blobs: Blobs, numbers: Iterable[int]) -> dict[int, Entry]:
    asked = {key(number): number for number in numbers}
    found = StoredCache(blobs).look_up(list(asked))
    return {asked[each]: entry for each, entry in found.items()}


def test_compacting_an_empty_store_writes_nothing() -> None:
    blobs = DictBlobs()
    assert compact_cache(blobs) == Compacted()
    assert sweep_cache(blobs) == []
    assert not blobs.objects


def test_compacted_entries_are_found_and_level_0_is_not_read_any_more() -> None:
    blobs = DictBlobs()
    for number in range(5):
        publish(blobs, range(number * 10, number * 10 + 10))
    done = compact_cache(blobs, shard_rows=8)
    assert (done.files, done.rows, done.tiers) == (5, 50, 1)
    blobs.calls.clear()
    assert find(blobs, [7, 23, 99]) == {7: entry(7), 23: entry(23)}
    assert blobs.calls["get"] <= 4, "the manifest, the fingerprints, and a shard per hit"
    assert compact_cache(blobs) == Compacted(rows=50, tiers=1)


def test_a_miss_reads_nothing_and_a_batch_reads_each_shard_once() -> None:
    blobs = DictBlobs()
    publish(blobs, range(100))
    compact_cache(blobs, shard_rows=16)
    cache = StoredCache(blobs, refresh_s=3600)
    cache.refresh()
    blobs.calls.clear()
    assert cache.look_up([key(number) for number in range(1000, 2000)]) == {}
    assert not blobs.calls
    assert len(cache.look_up([key(number) for number in range(200)])) == 100
    assert blobs.calls["get"] == 7
    blobs.calls.clear()
    assert len(cache.look_up([key(number) for number in range(200)])) == 100
    assert not blobs.calls


def test_a_reader_is_told_whether_an_answer_needs_a_read() -> None:
    blobs = DictBlobs("gs://bucket")
    publish(blobs, range(10))
    compact_cache(blobs)
    cache = StoredCache(blobs, refresh_s=3600)
    assert cache.reads_for([key(1)]), "nothing was listed yet"
    cache.refresh()
    assert cache.reads_for([key(1)])
    assert not cache.reads_for([key(99)])
    cache.look_up([key(1)])
    assert not cache.reads_for([key(1), key(99)])


def test_tiers_grow_by_merging_so_that_they_stay_few() -> None:
    blobs = DictBlobs()
    for turn in range(40):
        publish(blobs, range(turn * 3, turn * 3 + 3))
        done = compact_cache(blobs, shard_rows=16)
        assert done.tiers <= 4
    assert done.rows == 120
    assert len(find(blobs, range(200))) == 120


def test_beside_work_only_small_tiers_are_merged_and_later_all_of_them() -> None:
    blobs = DictBlobs()
    for turn in range(6):
        publish(blobs, range(turn * 10, turn * 10 + 10))
        compact_cache(blobs, most_rows=20)
    assert [tier.rows for tier in read_manifest(blobs).tiers] == [20, 20, 20]
    assert len(find(blobs, range(100))) == 60
    publish(blobs, [70])
    publish(blobs, range(80, 89))
    assert compact_cache(blobs).tiers == 1
    assert len(find(blobs, range(100))) == 70


def test_the_same_entry_counts_wherever_the_files_lie() -> None:
    """An earlier result that comes late beats a later one that was compacted long ago."""
    blobs = DictBlobs()
    publish(blobs, range(100, 140))
    publish(blobs, [1], created_us=5, run="late")
    compact_cache(blobs)
    publish(blobs, [1], created_us=3, run="early")
    assert find(blobs, [1])[1].run == "early"
    compact_cache(blobs)
    assert len(read_manifest(blobs).tiers) == 2
    assert find(blobs, [1])[1].run == "early"
    publish(blobs, [1], created_us=4, run="asked for", overwrites=True)
    assert find(blobs, [1])[1].run == "asked for"
    publish(blobs, range(200, 300))
    compact_cache(blobs)
    assert find(blobs, [1])[1].run == "asked for"
    assert all_entries(blobs)[key(1)].run == "asked for"


def test_a_reader_at_work_follows_a_compaction_and_its_sweep() -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    compact_cache(blobs, now_us=0)
    reader = StoredCache(blobs, refresh_s=0)
    assert reader.look_up([key(1)])
    publish(blobs, range(10, 20))
    compact_cache(blobs, now_us=1)
    assert sweep_cache(blobs, now_us=2 * HOUR_US)
    assert reader.look_up([key(2), key(15)]).keys() == {key(2), key(15)}


def test_a_reader_whose_files_were_swept_away_misses_once_and_then_finds() -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    compact_cache(blobs, now_us=0)
    reader = StoredCache(blobs, refresh_s=3600)
    reader.refresh()
    publish(blobs, range(10, 20))
    compact_cache(blobs, now_us=1)
    sweep_cache(blobs, now_us=2 * HOUR_US)
    assert reader.look_up([key(1)]) == {}
    assert reader.look_up([key(1)])


def test_the_sweep_removes_what_is_old_and_unneeded_and_nothing_else() -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    compact_cache(blobs, now_us=0)
    publish(blobs, range(10, 20))
    compact_cache(blobs, now_us=HOUR_US)
    write_tier(blobs, [entry(99)], now_ns=5)  # of a compactor that crashed
    publish(blobs, [30])
    assert sweep_cache(blobs, now_us=HOUR_US + 1, older_than=timedelta(hours=2)) == []
    doomed = sweep_cache(blobs, now_us=4 * HOUR_US, dry_run=True)
    before = len(blobs.objects)
    assert sweep_cache(blobs, now_us=4 * HOUR_US) == doomed
    assert len(blobs.objects) == before - len(doomed) + 2
    assert len(blobs.list(layout.CACHE_LEVEL_0)) == 1
    assert len(blobs.list(cache_layout.SHARDS)) == 1
    assert read_manifest(blobs).applied == {}
    assert len(find(blobs, range(50))) == 21
    assert len(all_entries(blobs)) == 21


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_storage_call_loses_nothing(when: str) -> None:
    """Also where the call was carried out and only its reply was lost."""

    class Crash(Exception):
        pass

    for fatal in range(1, 60):
        blobs = DictBlobs()
        publish(blobs, range(10))
        compact_cache(blobs, now_us=0, shard_rows=4)
        publish(blobs, range(5, 15), created_us=2)
        left = fatal

        def crash(operation: str, what: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash

        setattr(blobs, when, crash)
        try:
            compact_cache(blobs, now_us=HOUR_US, shard_rows=4)
            sweep_cache(blobs, now_us=3 * HOUR_US)
        except Crash:
            pass
        survived = left > 0
        setattr(blobs, when, lambda operation, what: None)
        assert {n: e.created_us for n, e in find(blobs, range(20)).items()} == {
            n: 1 if n < 10 else 2 for n in range(15)
        }
        compact_cache(blobs, now_us=3 * HOUR_US, shard_rows=4)
        sweep_cache(blobs, now_us=9 * HOUR_US)
        assert len(find(blobs, range(20))) == len(all_entries(blobs)) == 15
        assert len(blobs.list(cache_layout.SHARDS)) == 1
        assert blobs.list(layout.CACHE_LEVEL_0) == []
        if survived:
            return
    raise AssertionError("the compaction never came to its end")


def test_of_two_compactors_one_wins_and_the_other_begins_again() -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    raced = []

    def rival(operation: str, what: str) -> None:
        if operation == "put_new" and what.startswith(cache_layout.MANIFESTS) and not raced:
            raced.append(what)
            publish(blobs, range(10, 20))
            compact_cache(blobs)

    blobs.before = rival
    done = compact_cache(blobs)
    assert raced
    assert done.rows == 20
    assert newest_number(blobs) == 0
    assert len(blobs.list(cache_layout.SHARDS)) == 1
    assert len(find(blobs, range(30))) == 20


def test_a_compactor_that_slept_through_a_sweep_names_no_swept_file() -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    slept = []

    def sleep(operation: str, what: str) -> None:
        if operation == "put_new" and what.startswith(cache_layout.MANIFESTS) and not slept:
            slept.append(what)
            compact_cache(blobs, now_us=0)
            sweep_cache(blobs, now_us=9 * HOUR_US)

    blobs.before = sleep
    compact_cache(blobs, now_us=0)
    assert slept
    assert len(find(blobs, range(10))) == 10


def test_lost_shards_cost_their_entries_only(caplog: pytest.LogCaptureFixture) -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    compact_cache(blobs, shard_rows=5)
    (tier,) = read_manifest(blobs).tiers
    blobs.put(cache_layout.shard(tier.name, 0), b"not parquet")
    with caplog.at_level(logging.WARNING):
        assert len(find(blobs, range(10))) == 5
        publish(blobs, range(10, 15))
        compact_cache(blobs)
    assert "lost" in caplog.text
    assert len(find(blobs, range(20))) == 10


@pytest.mark.parametrize("folder", [cache_layout.SHARDS, cache_layout.LEVEL_0])
def test_a_passing_failure_of_the_store_ends_a_compaction_and_costs_no_entry(folder: str) -> None:
    blobs = DictBlobs()
    publish(blobs, range(10))
    compact_cache(blobs, shard_rows=5)
    publish(blobs, range(10, 15))
    before = dict(blobs.objects)

    def away(operation: str, what: str) -> None:
        if operation == "get" and what.startswith(folder) and what.endswith(".parquet"):
            raise StoreError("the store does not answer")

    blobs.before = away
    for read in (compact_cache, all_entries):
        with pytest.raises(StoreError, match="does not answer"):
            read(blobs)
    blobs.before = lambda operation, what: None
    assert blobs.objects == before
    assert compact_cache(blobs).rows == len(all_entries(blobs)) == 15


def test_damaged_manifests_and_those_of_newer_releases_are_told() -> None:
    blobs = DictBlobs()
    publish(blobs, range(3))
    compact_cache(blobs)
    blobs.put(cache_layout.manifest(1), b"{")
    with pytest.raises(StoreError, match="damaged"):
        read_manifest(blobs)
    blobs.put(cache_layout.manifest(1), json.dumps({"format": 99}).encode())
    with pytest.raises(ConfigurationError, match="newer release"):
        read_manifest(blobs)
    assert len(find(blobs, range(3))) == 3, "level 0 is still there, and answers"


def test_a_publisher_that_sees_many_files_folds_them_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_index, "COMPACT_FROM_FILES", 3)
    blobs = DictBlobs()
    cache = StoredCache(blobs)
    for number in range(3):
        cache.publish([entry(number)])
    assert cache._compactor is not None
    cache._compactor.join(30)
    assert newest_number(blobs) > NONE_YET
    assert len(cache.look_up([key(number) for number in range(3)])) == 3


def test_sql_engines_are_told_the_files_that_count(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    publish(blobs, range(20))
    compact_cache(blobs, shard_rows=8)
    publish(blobs, range(20, 25))
    files = counting_files(blobs)
    assert len(files) == 4
    assert all(blobs.exists(each) and each.endswith(".parquet") for each in files)


def test_fingerprints_tell_keys_apart_and_hits_by_chance_are_no_hits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fingerprint(key(1)) == int(key(1)[:16], 16)
    assert fingerprint("z" * 64) != fingerprint("short")
    twin = key(1)[:16] + key(2)[16:]
    blobs = DictBlobs()
    tier = write_tier(blobs, [entry(1)], now_ns=1)
    reader = TierReader(blobs, tier).load()
    assert list(reader.rows_of(twin)) == [0]
    publish(blobs, [1])
    compact_cache(blobs)
    assert StoredCache(blobs).look_up([twin]) == {}


def test_format_1_stays_readable() -> None:
    """A manifest and a tier as this release wrote them first."""
    blobs = DictBlobs()
    for path in (GOLDEN / "cache-manifest-1").rglob("*"):
        if path.is_file():
            blobs.put(str(path.relative_to(GOLDEN / "cache-manifest-1")), path.read_bytes())
    assert find(blobs, range(10)) == {number: entry(number) for number in range(6)}
    assert encode_entries([entry(1)])[:4] == b"PAR1"
