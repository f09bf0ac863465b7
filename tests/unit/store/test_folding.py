"""Folding beside a host: it keeps up, ends with the run, and never gets in its way."""

from __future__ import annotations

import logging
import threading

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.store import folding, layout, summaries
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import SLOTS_A_PART
from flyte_ray.store.folding import SMALL_RUN, Folding
from flyte_ray.store.ledger import create_book
from flyte_ray.store.parts import list_parts
from flyte_ray.store.segments import encode
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.store.books import run_spec, success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")


def ended(blobs: DictBlobs) -> None:
    book = create_book(blobs, run_spec(), "test")
    book.append([success("b1")]).result()
    book.finish("succeeded", {})


def others_end() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("flyte-ray-fold") or "_fold" in thread.name:
            thread.join()


def test_a_book_that_grows_is_folded_when_a_part_is_full_and_not_before() -> None:
    blobs = DictBlobs()
    for slot in range(SLOTS_A_PART):
        blobs.put(layout.segment(RUN, slot), encode([success(f"b{slot}")], slot, 1))
    beside = Folding(blobs, RUN)
    beside.keep_up(SLOTS_A_PART - 1)
    others_end()
    assert list_parts(blobs, RUN) == []
    beside.keep_up(SLOTS_A_PART)
    others_end()
    assert list_parts(blobs, RUN) == [(0, SLOTS_A_PART - 1)]


@pytest.mark.parametrize("actions", [1, SMALL_RUN + 1])
def test_a_run_that_ends_gets_its_tables(actions: int) -> None:
    blobs = DictBlobs()
    ended(blobs)
    Folding(blobs, RUN).finish(actions)
    others_end()
    assert layout.actions_table(RUN) in blobs.objects


def test_a_process_waits_for_the_folding_whoever_began_it() -> None:
    kinds: list[bool] = []

    class Watched(DictBlobs):
        def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
            kinds.append(threading.current_thread().daemon)
            super().put(key, *parts)

    blobs = Watched()
    ended(blobs)
    kinds.clear()
    finish = Folding(blobs, RUN).finish
    helper = threading.Thread(target=finish, args=(SMALL_RUN + 1,), daemon=True)
    helper.start()
    helper.join()
    others_end()
    assert set(kinds) == {False}


@pytest.mark.parametrize("actions", [1, SMALL_RUN + 1])
def test_the_end_of_a_run_merges_the_rows_of_many(
    actions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "MERGE_FROM", 1)
    blobs = DictBlobs()
    ended(blobs)
    Folding(blobs, RUN).finish(actions)
    others_end()
    [merged] = blobs.list(layout.MERGED_SUMMARIES)
    assert layout.merged_rows(merged) == 1
    assert [run.name for run in Catalog(blobs).runs()] == [RUN]


def test_a_store_that_fails_costs_the_tables_and_not_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    blobs = DictBlobs()
    ended(blobs)
    faulty = FaultyBlobs(blobs)
    faulty.fail("put", part="actions.parquet")
    with caplog.at_level(logging.WARNING):
        Folding(faulty, RUN).finish(1)
    assert "flyte-ray store compact" in caplog.text
    assert layout.actions_table(RUN) not in blobs.objects


def test_a_fault_of_ours_costs_the_tables_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(folding, "compact_run", fail)
    Folding(DictBlobs(), RUN).finish(1)
    assert "cannot be compacted" in caplog.text
