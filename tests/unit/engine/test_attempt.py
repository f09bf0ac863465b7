"""A body that has ended is not run again for what is only written beside its result."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.engine.attempt import BodyCancelled, Tools, run_async, run_blocking
from flyte_ray.engine.output import INLINE_CHARACTERS
from flyte_ray.errors import StoreError, StoreUnwritableError
from flyte_ray.io import File
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.values import RunValues
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes
from tests.unit.io.flaky import flaky

env = flyte.TaskEnvironment(name="e")


@env.task
def talks() -> int:
    print("x" * 5000)
    print("the last words")
    return 7


@env.task
async def makes_much() -> bytes:
    return b"x" * 1_000_000


@env.task(report=True)
def reports() -> int:
    flyte.report.log("<p>so far so good</p>", do_flush=False)
    return 7


@env.task
async def writes_a_file() -> File[str]:
    path = Path(tempfile.mkdtemp()) / "out.txt"
    path.write_text("so much")
    return File(path=str(path))


def tools_of(store: FaultyBlobs, raw_data_path: str | None = None) -> Tools:
    values = RunValues(store, scenes.run_spec().name, raw_data_path=raw_data_path)
    return Tools(codecs=PayloadCodec(), values=values, blobs=store)


def ran(
    store: FaultyBlobs, task: object, raw_data_path: str | None = None, **options: object
) -> Outcome:
    tools = tools_of(store, raw_data_path)
    spec = scenes.attempt(task=task.name, options=TaskOptions(**options))  # type: ignore[attr-defined,arg-type]
    if task in (makes_much, writes_a_file):
        return asyncio.run(run_async(spec, task, tools, None))  # type: ignore[arg-type]
    return run_blocking(spec, task, tools, None)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> FaultyBlobs:
    return FaultyBlobs(open_blobs(str(tmp_path)))


def test_a_log_that_cannot_be_stored_leaves_its_end_in_the_record(store: FaultyBlobs) -> None:
    store.fail("put", times=1000)
    outcome = ran(store, talks)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.logs_key is None
    assert outcome.logs.endswith("the last words\n")
    assert len(outcome.logs) == INLINE_CHARACTERS


def test_a_report_that_cannot_be_stored_is_told(
    store: FaultyBlobs, caplog: pytest.LogCaptureFixture
) -> None:
    store.fail("put", times=1000)
    assert ran(store, reports, report=True).kind is OutcomeKind.SUCCEEDED
    assert "the report of a1 is not stored" in caplog.text


def test_outputs_wait_for_a_store_that_is_away(store: FaultyBlobs) -> None:
    store.fail("put", part="/values/", times=2)
    outcome = ran(store, makes_much)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.outputs is not None
    (value,) = outcome.outputs.values.values()
    assert value.key is not None
    assert store.exists(value.key)


def test_the_loop_goes_on_while_outputs_wait_for_the_store(
    store: FaultyBlobs, caplog: pytest.LogCaptureFixture
) -> None:
    is_away = True

    class Away(FaultyBlobs):
        def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
            if is_away:
                raise StoreError("away")
            super().put(key, *parts)

    async def scene() -> Outcome:
        nonlocal is_away
        spec, tools = scenes.attempt(task=makes_much.name), tools_of(Away(store))
        attempt = asyncio.ensure_future(run_async(spec, makes_much, tools, None))  # type: ignore[arg-type]
        while "waits for the store" not in caplog.text:
            await asyncio.sleep(0.01)
        is_away = False  # somebody else on this loop mends it
        return await attempt

    assert asyncio.run(scene()).kind is OutcomeKind.SUCCEEDED


def test_an_attempt_whose_outputs_wait_can_be_cancelled(
    store: FaultyBlobs, caplog: pytest.LogCaptureFixture
) -> None:
    store.fail("put", part="/values/", times=3)

    async def scene() -> Outcome:
        spec = scenes.attempt(task=makes_much.name)
        attempt = asyncio.ensure_future(run_async(spec, makes_much, tools_of(store), None))  # type: ignore[arg-type]
        while "waits for the store" not in caplog.text:
            await asyncio.sleep(0.01)
        attempt.cancel()
        with pytest.raises(BodyCancelled) as stopped:
            await attempt
        return stopped.value.outcome

    assert asyncio.run(scene()).kind is OutcomeKind.CANCELLED


def test_files_that_are_put_out_wait_for_their_store(store: FaultyBlobs) -> None:
    bucket = flaky(refuses=1, error=ConnectionResetError("hung up"))
    outcome = ran(store, writes_a_file, raw_data_path="flaky://b")
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert [*bucket.objects.values()] == [b"so much"]


def test_a_store_that_will_not_be_written_is_not_waited_for(store: FaultyBlobs) -> None:
    store.fail("put", part="/values/", times=1, error=StoreUnwritableError("no access"))
    outcome = ran(store, makes_much)
    assert outcome.kind is OutcomeKind.FINAL_ERROR
    assert outcome.error is not None
    assert "no access" in outcome.error.message
