"""Bodies in a replica: told to stop, they are stopped whatever they make of it. No Ray."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.engine.announcing import Announcer
from flyte_ray.engine.attempt import Tools
from flyte_ray.engine.cancellation import carried
from flyte_ray.engine.loading import Loader
from flyte_ray.engine.local import here
from flyte_ray.runtime.replica_home import Bodies
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.values import RunValues
from flyte_ray.testing import FakeClock
from tests.unit.engine.scenes import MemoryBook, attempt, surroundings
from tests.unit.engine.stubborn import begun, raises_an_error_of_its_own, returns_what_it_has


def bodies(blobs: LocalBlobs, stopped: set[tuple[str, str]]) -> Bodies:
    book = MemoryBook()
    tools = Tools(
        codecs=PayloadCodec(), values=RunValues(blobs, RunName("r1")), blobs=blobs, place=here()
    )
    home: Any = SimpleNamespace(channel=book, loader=Loader(blobs), is_poisoned=False)
    lodging: Any = SimpleNamespace(tools=tools, surroundings=None)
    made = Bodies(home, lodging, Announcer(book, here()), stopped)
    lodging.surroundings = surroundings(blobs, book, made, FakeClock())
    return made


@pytest.mark.parametrize("task", [returns_what_it_has, raises_an_error_of_its_own])
@pytest.mark.parametrize("is_told", [True, False])
def test_who_is_told_to_stop_is_stopped_whatever_it_makes_of_it(
    tmp_path: Path, task: Any, is_told: bool
) -> None:
    spec = attempt(task=task.name, address=task.address)
    stopped: set[tuple[str, str]] = set()
    replica = bodies(LocalBlobs(tmp_path), stopped)

    async def scene() -> Outcome:
        begun.clear()
        running = asyncio.ensure_future(replica.execute(spec, task))
        assert await asyncio.to_thread(begun.wait, 30)
        if is_told:
            stopped.add((spec.run.name, spec.action_id))
        running.cancel()
        try:
            return await running
        except asyncio.CancelledError as error:
            outcome = carried(error)
            assert outcome is not None, "nothing is known of what was stopped"
            return outcome

    outcome = asyncio.run(scene())
    assert (outcome.kind is OutcomeKind.CANCELLED) is is_told
    assert (outcome.outputs is None) or not is_told
