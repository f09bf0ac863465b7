"""What the host says of runs that it has in memory no more, or not yet. No Ray is started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flyte_ray import errors
from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Settled
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.engine.host import RunHost
from flyte_ray.runtime.host_actor import Host
from flyte_ray.runtime.resumption import Resumptions
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.testing.clock import FakeClock
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes


class LaterLife(Host):
    """A host that begins with what others left in the store, and no cluster around it."""

    def __init__(self, folder: Path, *to_resume: str) -> None:
        self.store = self._blobs = FaultyBlobs(open_blobs(str(folder)))
        self._clock = FakeClock(autojump=True)
        self._desk = HostDesk(
            DeskTools(
                blobs=self._blobs,
                cache=StoredCache(self._blobs),
                clock=self._clock,
                owner="test",
            )
        )
        self._ends = {}
        self._resuming = None
        self._to_resume = to_resume
        self._resumptions = Resumptions(self._resume, lambda run: None, self._clock)
        self.resumed: list[RunHost] = []

    async def ready(self) -> str:
        if self._resuming is None:
            self._resuming = asyncio.ensure_future(self._resume_all())
        return "host"

    async def _resume_all(self) -> None:
        await asyncio.sleep(0)
        self._resumptions.begin(dict.fromkeys(self._to_resume, b"order"))

    async def _resume(self, run: str, order: bytes) -> None:
        spec = scenes.run_spec()
        assert spec.name == run
        self.resumed.append(await asyncio.to_thread(self._desk.resume, spec.name))


def left_over(folder: Path, *, ended: bool) -> None:
    """A run that an earlier host had."""
    host = LaterLife(folder)
    opened = host._desk.open(scenes.run_spec())
    if ended:
        root = scenes.action(action_id=ActionId("a0"), parent_id=None, task=opened.spec.task)
        asyncio.run(host._desk.drive(root, scenes.Scripted(scenes.succeeded())))


def test_an_ended_run_that_is_not_in_memory_answers_from_its_record(tmp_path: Path) -> None:
    left_over(tmp_path, ended=True)
    host = LaterLife(tmp_path)
    settled = asyncio.run(host.settled("r1", 5))
    assert isinstance(settled, Settled)
    assert settled.phase is ActionPhase.SUCCEEDED


def test_a_record_that_cannot_be_read_now_is_asked_for_again(tmp_path: Path) -> None:
    left_over(tmp_path, ended=True)
    host = LaterLife(tmp_path)
    host.store.fail("get", times=1)
    assert asyncio.run(host.settled("r1", 5)) is None
    assert host._clock.slept == [5]  # type: ignore[attr-defined]  # the test's clock


@pytest.mark.parametrize("run", ["r1", "r2"])
def test_a_run_that_goes_on_elsewhere_or_never_was_is_not_hosted_here(
    tmp_path: Path, run: str
) -> None:
    left_over(tmp_path, ended=False)
    host = LaterLife(tmp_path)
    assert isinstance(asyncio.run(host.settled(run, 5)), errors.RunNotFoundError)
    assert not asyncio.run(LaterLife(tmp_path).carries(run))
    refused = asyncio.run(LaterLife(tmp_path).abort(run, "enough"))
    assert isinstance(refused, errors.RunNotFoundError)


def test_an_abort_before_the_runs_are_known_reaches_the_one_that_is_resumed(
    tmp_path: Path,
) -> None:
    left_over(tmp_path, ended=False)
    host = LaterLife(tmp_path, "r1")

    async def live() -> None:
        assert await host.abort("r1", "enough") is None
        while not await host._is_taken_over("r1", 5):
            pass

    asyncio.run(live())
    assert [each._abort_reason for each in host.resumed] == ["enough"]


def test_an_abort_of_a_run_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    left_over(tmp_path, ended=True)
    assert asyncio.run(LaterLife(tmp_path).abort("r1", "late")) is None
