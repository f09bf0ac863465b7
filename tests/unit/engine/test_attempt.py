"""A body that has ended is not run again for what is only written beside its result."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.engine.attempt import Tools, run_async, run_blocking
from flyte_ray.engine.output import INLINE_CHARACTERS
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.values import RunValues
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.engine import scenes

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


def ran(store: FaultyBlobs, task: object, **options: object) -> Outcome:
    tools = Tools(
        codecs=PayloadCodec(), values=RunValues(store, scenes.run_spec().name), blobs=store
    )
    spec = scenes.attempt(task=task.name, options=TaskOptions(**options))  # type: ignore[attr-defined,arg-type]
    if task is makes_much:
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
