"""A store that stays away ends the run with an error; the record up to then can be read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Settled
from flyte_ray.engine import host as host_module
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.host import Opening, RunHost
from flyte_ray.errors import StoreError
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.ledger import create_book
from flyte_ray.store.pacing import Pace
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes
from tests.unit.store.books import success

IMPATIENT = Pace(patience_s=0.2, note_s=0)


async def driven(host: RunHost, question: Question | None = None) -> Settled:
    executor = scenes.Scripted(scenes.succeeded())
    driver = Driver(executor=executor, book=AskingBook(host), clock=SystemClock())
    root = scenes.action(action_id="a0", parent_id=None, question=question)
    return await host.drive(root, driver)


class AskingBook(scenes.HostBook):
    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        return self._host.look_up(questions)


ROOT = Question(
    action_id=ActionId("a0"), task="env.main", cache_key="k" * 64, serialize=True, replay=False
)


def test_a_run_whose_store_stays_away_fails_and_its_record_is_readable(tmp_path: Path) -> None:
    store = FaultyBlobs(open_blobs(str(tmp_path)))
    spec = scenes.run_spec()
    ledger = create_book(store, spec, "test", pace=IMPATIENT)
    host = RunHost(Opening(spec=spec, ledger=ledger), blobs=store, cache=StoredCache(store))
    host.record([success("a1")]).result(30)

    store.fail("put_new", part="/log/", times=1000, error=StoreError("the store is away"))
    with pytest.raises(StoreError, match="the store is away"):
        asyncio.run(driven(host))

    assert host.progress().notice == "waits for the store: the store is away"
    actions = Catalog(open_blobs(str(tmp_path))).actions(spec.name)
    assert [(a.action_id, a.phase) for a in actions.values()] == [("a1", ActionPhase.SUCCEEDED)]


def test_a_run_ends_although_its_last_results_cannot_be_put_into_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyBlobs(open_blobs(str(tmp_path)))
    spec = scenes.run_spec()
    ledger = create_book(store, spec, "test", pace=IMPATIENT)
    host = RunHost(Opening(spec=spec, ledger=ledger), blobs=store, cache=StoredCache(store))
    reusable = replace(success("a1"), phase=ActionPhase.SUCCEEDED, cache_key="k" * 64)
    host.record([reusable]).result(30)
    store.fail("put_new", part="cache/l0", times=1000, error=StoreError("the store is away"))
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(driven(host)).phase is ActionPhase.SUCCEEDED
    assert "not in the cache: the store is away" in caplog.text
    ended = Catalog(open_blobs(str(tmp_path))).run(spec.name)
    assert (ended.phase, ended.ended_us is not None) == (ActionPhase.SUCCEEDED, True)


def test_a_question_waits_for_a_store_that_is_away(tmp_path: Path) -> None:
    store = FaultyBlobs(open_blobs(str(tmp_path)))
    spec = scenes.run_spec()
    opening = Opening(spec=spec, ledger=create_book(store, spec, "test"))
    host = RunHost(opening, blobs=store, cache=StoredCache(store))
    store.fail("list", part="flight", times=2)
    assert asyncio.run(driven(host, ROOT)).phase is ActionPhase.SUCCEEDED
    assert not any(wish.left for wish in store._wishes)


def test_a_run_whose_root_cannot_be_asked_for_ends_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "pace_for", lambda _: IMPATIENT)
    store = FaultyBlobs(open_blobs(str(tmp_path)))
    spec = scenes.run_spec()
    opening = Opening(spec=spec, ledger=create_book(store, spec, "test"))
    host = RunHost(opening, blobs=store, cache=StoredCache(store))
    store.fail("list", part="flight", times=1000, error=StoreError("the claims are away"))
    settled = asyncio.run(driven(host, ROOT))
    assert settled.phase is ActionPhase.FAILED
    assert settled.error is not None
    assert "the claims are away" in settled.error.message
    assert host.is_over
    ended = Catalog(open_blobs(str(tmp_path))).run(spec.name)
    assert (ended.phase, ended.ended_us is not None) == (ActionPhase.FAILED, True)
