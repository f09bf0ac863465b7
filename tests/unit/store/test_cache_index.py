from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from flyte_ray.errors import StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.cache_compaction import compact_cache
from flyte_ray.store.cache_index import Entry, StoredCache, decode_entries, encode_entries
from tests.unit.store.stores import DictBlobs

GOLDEN = Path(__file__).parent / "golden" / "cache-1.parquet"


def entry(key: str, created_us: int = 1, run: str = "r1", **fields: object) -> Entry:
    values = {"action_id": "a1", "task": "env.step", "outputs": "{}", **fields}
    return Entry(key=key, created_us=created_us, run=run, **values)  # type: ignore[arg-type]


def test_what_one_run_publishes_another_finds() -> None:
    blobs = DictBlobs()
    StoredCache(blobs).publish([entry("k1"), entry("k2")])
    assert StoredCache(blobs).look_up(["k1", "k3"]) == {"k1": entry("k1")}


def test_the_publisher_finds_its_own_entries_at_once_without_reading() -> None:
    blobs = DictBlobs()
    cache = StoredCache(blobs)
    cache.publish([entry("k1")])
    assert cache.look_up(["k1"]) == {"k1": entry("k1")}
    assert blobs.calls["get"] == 0


def test_no_file_is_read_twice() -> None:
    blobs = DictBlobs()
    reader = StoredCache(blobs, refresh_s=0)
    for number in range(3):
        StoredCache(blobs).publish([entry(f"k{number}")])
        assert reader.look_up([f"k{number}"])
        assert not reader.look_up(["unknown"])
    assert blobs.calls["get"] == 3


def test_known_keys_cost_no_request_and_misses_are_listed_for_now_and_then() -> None:
    blobs = DictBlobs()
    StoredCache(blobs).publish([entry("k1")])
    cache = StoredCache(blobs, refresh_s=3600)
    cache.look_up(["k1"])
    for _ in range(10):
        cache.look_up(["k1", "unknown"])
    assert blobs.calls["list"] == 2, "level 0 and the manifests, once"
    StoredCache(blobs).publish([entry("k2")])
    assert not cache.look_up(["k2"])
    cache.refresh()
    assert cache.look_up(["k2"])


def test_the_earliest_entry_wins_in_whatever_order_files_are_read() -> None:
    entries = [entry("k", at, run=run) for at, run in ((5, "b"), (3, "z"), (3, "c"), (9, "a"))]
    for seed in range(10):
        random.Random(seed).shuffle(entries)
        blobs = DictBlobs()
        for each in entries:
            StoredCache(blobs).publish([each])
        assert StoredCache(blobs).look_up(["k"])["k"].run == "c"


def test_a_recomputation_that_was_asked_for_takes_the_place_of_earlier_ones() -> None:
    blobs = DictBlobs()
    reader = StoredCache(blobs, refresh_s=0)
    for number, overwrites in ((1, False), (5, True), (3, True), (9, False)):
        StoredCache(blobs).publish([entry("k", number, run=f"r{number}", overwrites=overwrites)])
    reader.refresh()
    assert reader.look_up(["k"])["k"].run == "r5"


def test_vanished_and_damaged_files_are_misses_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Vanishing(DictBlobs):
        def list(self, prefix: str) -> list[str]:
            return [*super().list(prefix), "gone.parquet"]

    blobs = Vanishing()
    blobs.put(layout.cache_entries("cut"), encode_entries([entry("k2")])[:-20])
    blobs.put(f"{layout.CACHE_LEVEL_0}/notes.txt", b"not ours")
    StoredCache(blobs).publish([entry("k1")])
    with caplog.at_level(logging.WARNING):
        cache = StoredCache(blobs, refresh_s=0)
        assert set(cache.look_up(["k1", "k2"])) == {"k1"}
        cache.refresh()
    assert sorted(r.getMessage().count("left out") for r in caplog.records) == [1, 1]


@pytest.mark.parametrize("compacted", [False, True])
def test_what_a_passing_failure_of_the_store_hid_is_found_afterwards(compacted: bool) -> None:
    blobs = DictBlobs()
    StoredCache(blobs).publish([entry("k1")])
    if compacted:
        compact_cache(blobs)
    folder = cache_layout.SHARDS if compacted else cache_layout.LEVEL_0

    def away(operation: str, key: str) -> None:
        if operation == "get" and key.startswith(folder) and key.endswith(".parquet"):
            raise StoreError("the store does not answer")

    reader = StoredCache(blobs, refresh_s=0)
    blobs.before = away
    assert not reader.look_up(["k1"]), "a miss, no error: it is computed again"
    blobs.before = lambda operation, key: None
    assert reader.look_up(["k1"]) == {"k1": entry("k1")}


def test_publishing_nothing_writes_nothing() -> None:
    blobs = DictBlobs()
    StoredCache(blobs).publish([])
    assert not blobs.objects


def test_version_1_stays_readable() -> None:
    assert decode_entries(GOLDEN.read_bytes()) == [
        entry("k1", 5),
        entry("k2", 6, outputs='{"o0":{}}', overwrites=True),
    ]


def test_keys_that_are_asked_for_in_batches_cost_one_read_per_shard() -> None:
    blobs = DictBlobs()
    keys = [f"k{number}" for number in range(500)]
    StoredCache(blobs).publish([entry(key) for key in keys])
    compact_cache(blobs)
    reader = StoredCache(blobs, refresh_s=3600)
    reader.look_up(["none"])
    blobs.calls.clear()
    for start in range(0, 500, 10):
        batch = keys[start : start + 10]
        assert reader.look_up(batch) == {key: entry(key) for key in batch}
    assert blobs.calls == {"get": 1}
