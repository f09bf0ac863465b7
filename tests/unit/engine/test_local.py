"""The in-process executor passes the suite of all executors, and stops what will not stop."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flyte_ray._syncify import run_sync, syncify
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Outcome, OutcomeKind
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
from tests.unit.engine.stubborn import (
    begun,
    env,
    raises_an_error_of_its_own,
    raises_in_its_thread,
    returns_from_its_thread,
    returns_what_it_has,
)

may_end = threading.Event()


@env.task
async def tidies_up() -> int:
    begun.set()
    try:
        await asyncio.sleep(60)
    finally:
        begun.set()
        await asyncio.to_thread(may_end.wait, 30)
    return 1


MANY = min(32, (os.cpu_count() or 1) + 4) + 1
"""One more than the threads that asyncio's own pool has."""
answers: list[int] = []


@env.task
async def leaf(n: int) -> int:
    return n


@env.task
async def leaves_work(n: int) -> int:
    left = threading.Event()
    began = asyncio.ensure_future(asyncio.to_thread(_calls_a_task, n, left))
    asyncio.get_running_loop().call_soon(left.set)
    await asyncio.sleep(0)
    assert not began.done()
    return n


def _calls_a_task(n: int, left: threading.Event) -> None:
    left.wait(30)
    answers.append(_blocking(n))


@syncify
async def _blocking(n: int) -> int:
    return await leaf(n)


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
    @pytest.mark.parametrize("run", [asyncio.run, run_sync])
    def test_a_cancelled_attempt_is_stopped_whatever_its_body_makes_of_it(
        self, executor: LocalExecutor, ask: Ask, task: Any, run: Any
    ) -> None:
        async def cancel() -> asyncio.CancelledError:
            begun.clear()
            running = asyncio.ensure_future(executor.execute(ask(task), task))
            assert await asyncio.to_thread(begun.wait, 30)
            running.cancel()
            with pytest.raises(asyncio.CancelledError) as stopped:
                await running
            return stopped.value

        outcome = carried(run(cancel()))
        assert outcome is not None
        assert (outcome.kind, outcome.outputs) == (OutcomeKind.CANCELLED, None)
        assert outcome.logs == "begun\n"

    @pytest.mark.parametrize(
        "task",
        [
            returns_what_it_has,
            raises_an_error_of_its_own,
            returns_from_its_thread,
            raises_in_its_thread,
        ],
    )
    def test_a_body_that_runs_too_long_is_timed_out_whatever_it_makes_of_that(
        self, executor: LocalExecutor, ask: Ask, task: Any
    ) -> None:
        impatient = task.override(timeout=timedelta(seconds=0.2))
        outcome = asyncio.run(executor.execute(ask(impatient), impatient))
        assert (outcome.kind, outcome.outputs) == (OutcomeKind.TIMED_OUT, None)
        assert outcome.error is not None
        assert outcome.error.code == "MaxRuntimeExceededError"
        assert outcome.logs == "begun\n"

    @pytest.mark.parametrize("run", [asyncio.run, run_sync])
    def test_a_body_that_is_stopped_tidies_up_before_its_attempt_ends(
        self, executor: LocalExecutor, ask: Ask, run: Any
    ) -> None:
        async def cancel() -> bool:
            begun.clear()
            may_end.clear()
            running = asyncio.ensure_future(executor.execute(ask(tidies_up), tidies_up))
            assert await asyncio.to_thread(begun.wait, 30)
            begun.clear()
            running.cancel()
            assert await asyncio.to_thread(begun.wait, 30), "it heard of it"
            assert not running.done()
            may_end.set()
            with pytest.raises(asyncio.CancelledError) as stopped:
                await running
            return carried(stopped.value) is not None and begun.is_set()

        assert run(cancel())

    @pytest.mark.timeout(30)
    def test_what_bodies_leave_running_may_call_tasks_while_their_loops_close(
        self, executor: LocalExecutor, ask: Ask
    ) -> None:
        async def many() -> list[Outcome]:
            tasks = [executor.execute(ask(leaves_work, n=n), leaves_work) for n in range(MANY)]
            return await asyncio.gather(*tasks)

        answers.clear()
        outcomes = run_sync(many())
        assert {outcome.kind for outcome in outcomes} == {OutcomeKind.SUCCEEDED}
        assert sorted(answers) == list(range(MANY))
