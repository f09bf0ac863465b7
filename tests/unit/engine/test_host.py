"""What is left of a run in its host's memory."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.host import Opening, RunHost
from flyte_ray.engine.memory import Known
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.cache_index import StoredCache
from flyte_ray.store.ledger import create_book
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
