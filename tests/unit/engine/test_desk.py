"""The desk cares for its runs, and says once what goes wrong with that."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import ActionPhase, Outcome, Settled
from flyte_ray.core.ports import Blobs
from flyte_ray.engine import rows
from flyte_ray.engine.action import Action
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.errors import RunNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import post_abort
from flyte_ray.testing.clock import FakeClock
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes


@pytest.mark.parametrize("error", [StoreError("no space left"), MemoryError(), FileNotFoundError()])
def test_a_heartbeat_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    store, clock = FaultyBlobs(open_blobs(str(tmp_path))), FakeClock(autojump=True)
    desk = HostDesk(DeskTools(blobs=store, cache=StoredCache(store), clock=clock, owner="the test"))
    spec = scenes.run_spec()
    host = desk.open(spec)
    store.fail("put", part="heartbeat", times=1000, error=error)

    async def cared_for() -> None:
        run = asyncio.ensure_future(
            desk.drive(scenes.action(action_id="a0", parent_id=None), scenes.Scripted(None))
        )
        while len(clock.slept) < 20:
            await asyncio.sleep(0.01)
        host.abort("cared for long enough")
        assert (await run).phase is ActionPhase.ABORTED

    with caplog.at_level(logging.WARNING):
        asyncio.run(cared_for())
    told = [record for record in caplog.records if "put off" in record.message]
    assert len(told) == 1


def test_the_record_says_why_a_run_was_aborted(tmp_path: Path) -> None:
    store = open_blobs(str(tmp_path))
    clock = FakeClock()
    desk = HostDesk(DeskTools(blobs=store, cache=StoredCache(store), clock=clock, owner="the test"))
    spec = scenes.run_spec()
    host = desk.open(spec)

    async def aborted() -> None:
        root = scenes.action(action_id="a0", parent_id=None)
        run = asyncio.ensure_future(desk.drive(root, scenes.Scripted(None)))
        while not clock.slept:  # its care has begun, and it with that
            await asyncio.sleep(0.01)
        host.abort("over budget")
        await run

    asyncio.run(aborted())
    root = Catalog(store).actions(spec.name)[ROOT_ACTION]
    assert root.phase is ActionPhase.ABORTED
    assert "over budget" in (root.error or "")


def desk(store: Blobs) -> HostDesk:
    return HostDesk(
        DeskTools(blobs=store, cache=StoredCache(store), clock=FakeClock(), owner="the test")
    )


class Unstoppable(scenes.Scripted):
    """Attempts that take their time to stop: until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.may_stop = asyncio.Event()

    async def execute(self, spec: AttemptSpec, task: object) -> Outcome:
        self.specs.append(spec)
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_stop.wait()
        raise AssertionError("unreachable")


def test_who_takes_over_a_run_that_was_being_aborted_ends_it(tmp_path: Path) -> None:
    store = open_blobs(str(tmp_path))
    spec, root = scenes.run_spec(), scenes.action(action_id="a0", parent_id=None)

    async def scene() -> Settled:
        dying, bodies = desk(store), Unstoppable()
        host = dying.open(spec)
        run = asyncio.ensure_future(dying.drive(root, bodies))
        await bodies.began.wait()
        host.abort("over budget")
        while not store.list(layout.mail(spec.name)):
            await asyncio.sleep(0.01)
        assert not run.done(), "it waits for its bodies"

        later, restarted = desk(store), scenes.Scripted(None)
        again = later.resume(spec.name)
        settled = await asyncio.wait_for(later.drive(root.resumed(1), restarted), 30)
        assert not restarted.specs, "no body is started for the sake of being stopped"
        assert again.is_over
        bodies.may_stop.set()
        await asyncio.wait({run})
        return settled

    settled = asyncio.run(scene())
    assert settled.phase is ActionPhase.ABORTED
    assert settled.error is not None
    assert "over budget" in settled.error.message


@pytest.mark.parametrize("abort", ["by its host", "by a letter"])
def test_an_abort_that_comes_after_the_roots_success_undoes_nothing(
    tmp_path: Path, abort: str
) -> None:
    store = open_blobs(str(tmp_path))
    spec, root = scenes.run_spec(), scenes.action(action_id="a0", parent_id=None)

    def desk() -> HostDesk:
        tools = DeskTools(
            blobs=store, cache=StoredCache(store), clock=FakeClock(), owner="the test"
        )
        return HostDesk(tools)

    async def scene() -> Settled:
        host = desk().open(spec)
        host.record([rows.submitted(root.spec, {}), rows.success(root.spec, scenes.succeeded())])
        while host.progress().phase is not ActionPhase.SUCCEEDED:
            await asyncio.sleep(0.01)
        if abort == "by its host":
            host.abort("too late")
            assert not store.list(layout.mail(spec.name))
        else:
            post_abort(store, spec.name, "too late")
        later = desk()  # the host has died before the book was closed
        later.resume(spec.name)
        return await later.drive(root.resumed(1), scenes.Scripted())

    assert asyncio.run(scene()).phase is ActionPhase.SUCCEEDED
    assert Catalog(store).run(spec.name).phase is ActionPhase.SUCCEEDED


def test_an_abort_needs_no_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyBlobs(open_blobs(str(tmp_path)))
    hosts = desk(store)
    host = hosts.open(scenes.run_spec())
    store.fail("put_new", part="/mail/", times=1000)

    async def aborted() -> Settled:
        bodies = scenes.Scripted(None)
        root = scenes.action(action_id="a0", parent_id=None)
        run = asyncio.ensure_future(hosts.drive(root, bodies))
        await bodies.began.wait()
        host.abort("over budget")
        settled = await run
        while not caplog.records:
            await asyncio.sleep(0.01)
        return settled

    assert asyncio.run(aborted()).phase is ActionPhase.ABORTED
    assert "that run r1 is aborted is not in the store yet" in caplog.text


def cut_off(store: Blobs, *, has_succeeded: bool = False) -> Action:
    """A recovery whose host died, and whose source was removed since; its root."""
    spec = scenes.run_spec(name=RunName("again"), source_run=RunName("first"), recover=True)
    owner = desk(store)
    owner.open(scenes.run_spec(name=RunName("first"))).close_aborted("cut").result(30)
    host = owner.open(spec)
    root = scenes.action(run=spec, action_id=ROOT_ACTION, parent_id=None, task=spec.task)
    events = [rows.submitted(root.spec, {})]
    if has_succeeded:
        events.append(rows.success(root.spec, scenes.succeeded()))
    host.record(events).result(30)
    store.delete([layout.run_file(RunName("first"))])
    return root.resumed(1)


def test_a_run_whose_source_was_removed_says_so_when_it_is_taken_over(tmp_path: Path) -> None:
    store = open_blobs(str(tmp_path))
    root, later, bodies = cut_off(store), desk(store), scenes.Scripted()
    later.resume(RunName("again"))
    settled = asyncio.run(later.drive(root, bodies))
    assert settled.phase is ActionPhase.FAILED
    assert settled.error is not None
    assert "recovers run first, which is no longer in the store" in settled.error.message
    record = Catalog(store).run("again")
    assert record.phase is ActionPhase.FAILED
    assert "rerun again --recover" in (record.error or "")


def test_a_root_that_had_succeeded_needs_no_source_any_more(tmp_path: Path) -> None:
    store = open_blobs(str(tmp_path))
    root, later = cut_off(store, has_succeeded=True), desk(store)
    later.resume(RunName("again"))
    settled = asyncio.run(later.drive(root, scenes.Scripted()))
    assert settled.phase is ActionPhase.SUCCEEDED


def test_an_abandoned_run_whose_source_was_removed_can_be_ended(tmp_path: Path) -> None:
    store = open_blobs(str(tmp_path))
    cut_off(store)
    desk(store).end_abandoned(RunName("again"), "nobody drives it")
    assert Catalog(store).run("again").phase is ActionPhase.ABORTED


def test_a_run_that_is_no_more_is_not_taken_over(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        desk(open_blobs(str(tmp_path))).resume(RunName("never"))
