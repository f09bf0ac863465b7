"""What a host keeps in memory: of a run that has ended, and of results that are not published."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from flyte_ray.core.calls import Question
from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.engine import publishing, rows
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.host import Opening, RunHost
from flyte_ray.engine.memory import Known
from flyte_ray.errors import StoreError
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.ledger import BookLedger, create_book
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes
from tests.unit.store import books
from tests.watching import seen


def success(name: str) -> Event:
    return replace(books.success(name), phase=ActionPhase.SUCCEEDED)


def kept_actions() -> int:
    return sum(isinstance(each, Known) for each in gc.get_objects())


def test_a_host_forgets_the_actions_of_a_run_that_has_ended(tmp_path: Path) -> None:
    blobs, spec = open_blobs(str(tmp_path)), scenes.run_spec()
    opening = Opening(spec=spec, ledger=create_book(blobs, spec, "test"))
    host = RunHost(opening, blobs=blobs, cache=StoredCache(blobs))
    gc.collect()  # what other tests left
    before = kept_actions()
    host.record([success(f"a{n}") for n in range(1, 11)]).result(30)
    assert seen(lambda: kept_actions() == before + 10, every_s=0.01)

    async def drive() -> None:
        executor = scenes.Scripted(scenes.succeeded())
        driver = Driver(executor=executor, book=scenes.HostBook(host), clock=SystemClock())
        root = scenes.action(action_id=ActionId("a0"), parent_id=None, task=spec.task)
        await host.drive(root, driver)

    asyncio.run(drive())
    gc.collect()
    assert kept_actions() == before
    told = host.progress()
    assert told.phase is ActionPhase.SUCCEEDED
    assert told.totals.succeeded == 11
    host.record([success("a12")]).result(30)  # from somebody who has not heard yet
    assert kept_actions() == before


def test_results_that_the_cache_could_not_take_are_published_with_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "TOGETHER", 3)
    store, spec = FaultyBlobs(open_blobs(str(tmp_path))), scenes.run_spec()
    opening = Opening(spec=spec, ledger=create_book(store, spec, "test"))
    host = RunHost(opening, blobs=store, cache=StoredCache(store))

    def record(names: str) -> None:
        rows = [replace(success(f"a{name}"), cache_key=f"k{name}") for name in names]
        host.record(rows).result(30)
        assert seen(lambda: host.progress().totals.succeeded == int(names[-1]), every_s=0.01)

    def attempts() -> int:
        return sum(call == "put_new" and "cache/" in key for call, key in store.calls)

    record("12")
    store.fail("put_new", part="cache/", times=2)
    with pytest.raises(StoreError):
        host.tick()
    record("3")
    record("4")
    assert attempts() == 1, "as many as before have to come, not just one more"
    with pytest.raises(StoreError):
        host.tick()
    assert not StoredCache(store).look_up(["k1", "k2", "k3", "k4"])
    host.tick()
    assert set(StoredCache(store).look_up(["k1", "k2", "k3", "k4"])) == {"k1", "k2", "k3", "k4"}
    host.tick()
    assert attempts() == 3, "and once only"
    host.close_aborted("the test is over").result(30)


class HeldLedger:
    """A ledger whose store has not answered yet."""

    epoch = 1

    def __init__(self) -> None:
        self.appended: list[tuple[list[Event], Future[None]]] = []

    def append(self, events: Sequence[Event]) -> Future[None]:
        self.appended.append((list(events), Future()))
        return self.appended[-1][1]


@pytest.fixture
def held(tmp_path: Path) -> tuple[RunHost, HeldLedger]:
    """A host whose store answers when the test wants."""
    blobs, spec = open_blobs(str(tmp_path)), scenes.run_spec()
    ledger = HeldLedger()
    opening = Opening(spec=spec, ledger=cast(BookLedger, ledger))
    return RunHost(opening, blobs=blobs, cache=StoredCache(blobs)), ledger


def test_a_row_that_comes_again_is_answered_only_when_the_first_is_stored(
    held: tuple[RunHost, HeldLedger],
) -> None:
    host, ledger = held
    first = host.record([success("a1")])
    again = host.record([success("a1"), success("a2")])
    (_, one), (rest, two) = ledger.appended
    assert [event.action_id for event in rest] == ["a2"]
    two.set_result(None)
    assert not again.done(), "of its rows, one may still be lost"
    one.set_result(None)
    assert first.done()
    assert again.result(0) is None
    assert host.record([success("a1")]).done(), "it is stored by now"
    assert len(ledger.appended) == 2


def test_a_success_that_could_not_be_stored_fails_those_after_it_and_may_come_again(
    held: tuple[RunHost, HeldLedger],
) -> None:
    host, ledger = held
    host.record([success("a1")])
    again = host.record([success("a1")])
    ledger.appended[0][1].set_exception(StoreError("the store is away"))
    with pytest.raises(StoreError, match="the store is away"):
        again.result(0)
    host.record([success("a1"), success("a1")])
    assert [len(rows) for rows, _ in ledger.appended] == [1, 1], "once in one batch, too"


def test_a_claim_of_a_second_attempt_outlives_what_the_first_one_came_to(tmp_path: Path) -> None:
    blobs, spec = open_blobs(str(tmp_path)), scenes.run_spec()
    opening = Opening(spec=spec, ledger=create_book(blobs, spec, "test"))
    host = RunHost(opening, blobs=blobs, cache=StoredCache(blobs))
    root = scenes.attempt(action_id=ActionId("a0"), parent_id=None)
    child = scenes.attempt(action_id=ActionId("s1"), parent_id=ActionId("a0"), cache_key="k" * 64)
    host.note([rows.submitted(root, {}), rows.submitted(child, {})])
    host.record([rows.row(child, EventKind.FAILED, ActionPhase.FAILED, {})]).result(30)
    asked = Question(
        action_id=ActionId("s1"),
        task="t",
        cache_key="k" * 64,
        serialize=True,
        parent_id=ActionId("a0"),
    )
    assert host.look_up([asked]).result(30) == [None]
    for _ in range(3):
        host.tick()
    other = replace(asked, action_id=ActionId("s2"))
    (held,) = host.look_up([other]).result(30)
    assert held is not None
    assert held.source_action == "s1"
    host.record([rows.row(root, EventKind.FAILED, ActionPhase.FAILED, {})]).result(30)
    for _ in range(2):
        host.tick()
    assert host.look_up([other]).result(30) == [None], "with its parent it ends"
    host.close_aborted("the test is over").result(30)
