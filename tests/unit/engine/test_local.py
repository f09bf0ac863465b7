"""The in-process executor passes the suite of all executors, and stops what will not stop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import OutcomeKind
from flyte_ray.engine.attempt import Tools, types_of
from flyte_ray.engine.cancellation import carried
from flyte_ray.engine.controller import ActionController
from flyte_ray.engine.loading import Loader
from flyte_ray.engine.local import LocalExecutor, here
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.values import RunValues
from flyte_ray.testing import FakeClock
from flyte_ray.testing.contracts import Ask, ExecutorContract
from tests.unit.engine.scenes import MemoryBook, attempt, encoded, surroundings

env = TaskEnvironment(name="stubborn")
begun = threading.Event()


@env.task
async def returns_what_it_has() -> int:
    print("begun")
    begun.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pass
    return 1


@env.task
async def raises_an_error_of_its_own() -> int:
    print("begun")
    begun.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise RuntimeError("the request failed") from None
    return 1


class TestLocalExecutor(ExecutorContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path)

    @pytest.fixture
    def executor(self, blobs: LocalBlobs) -> LocalExecutor:
        book = MemoryBook()

        def controller_for(spec: AttemptSpec) -> ActionController:
            return ActionController(spec, around)

        executor = LocalExecutor(
            tools=Tools(
                codecs=PayloadCodec(),
                values=RunValues(blobs, RunName("r1")),
                blobs=blobs,
                place=here(),
            ),
            book=book,
            controllers=controller_for,
            load=Loader(blobs).task,
        )
        around = surroundings(blobs, book, executor, FakeClock())
        return executor

    @pytest.fixture
    def ask(self, blobs: LocalBlobs) -> Ask:
        def make(task: Any, **inputs: Any) -> AttemptSpec:
            bound = task.interface.bind(**inputs)
            return attempt(
                task=task.name,
                address=task.address,
                options=task.options,
                inputs=encoded(blobs, bound, types_of(task.interface)),
            )

        return make

    @pytest.mark.parametrize("task", [returns_what_it_has, raises_an_error_of_its_own])
    def test_a_cancelled_attempt_is_stopped_whatever_its_body_makes_of_it(
        self, executor: LocalExecutor, ask: Ask, task: Any
    ) -> None:
        async def cancel() -> asyncio.CancelledError:
            begun.clear()
            running = asyncio.ensure_future(executor.execute(ask(task), task))
            assert await asyncio.to_thread(begun.wait, 30)
            running.cancel()
            with pytest.raises(asyncio.CancelledError) as stopped:
                await running
            return stopped.value

        outcome = carried(asyncio.run(cancel()))
        assert outcome is not None
        assert (outcome.kind, outcome.outputs) == (OutcomeKind.CANCELLED, None)
        assert outcome.logs == "begun\n"
