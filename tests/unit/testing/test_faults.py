from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.errors import StoreError
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.testing import FaultyBlobs, FaultyExecutor, fail_nth, kill_at
from flyte_ray.testing.contracts import BlobsContract
from tests.unit.engine.scenes import attempt


class Counting:
    """An executor that always succeeds, and counts."""

    def __init__(self) -> None:
        self.ran = 0

    def check(self, options: TaskOptions) -> str | None:
        return None

    async def execute(self, spec: AttemptSpec, task: object) -> Outcome:
        self.ran += 1
        return Outcome(kind=OutcomeKind.SUCCEEDED)


def outcomes(executor: FaultyExecutor, *specs: AttemptSpec) -> list[OutcomeKind]:
    return [asyncio.run(executor.execute(spec, None)).kind for spec in specs]


def test_the_nth_attempt_of_a_task_fails_without_running() -> None:
    inner = Counting()
    executor = FaultyExecutor(inner, fail_nth(2, task="step"))
    step, other = attempt(task="env.step"), attempt(task="env.other")
    assert outcomes(executor, step, other, step, step) == [
        OutcomeKind.SUCCEEDED,
        OutcomeKind.SUCCEEDED,
        OutcomeKind.PLATFORM_ERROR,
        OutcomeKind.SUCCEEDED,
    ]
    assert inner.ran == 3
    assert len(executor.attempts) == 4


def test_a_killed_attempt_has_run() -> None:
    inner = Counting()
    executor = FaultyExecutor(inner, kill_at(1))
    assert outcomes(executor, attempt()) == [OutcomeKind.PLATFORM_ERROR]
    assert inner.ran == 1


def test_the_kind_of_failure_is_the_tests_choice() -> None:
    executor = FaultyExecutor(Counting(), fail_nth(1, kind=OutcomeKind.OUT_OF_MEMORY))
    outcome = asyncio.run(executor.execute(attempt(), None))
    assert outcome.kind is OutcomeKind.OUT_OF_MEMORY
    assert outcome.error is not None
    assert outcome.error.code == "OOMError"


class TestFaultyBlobsWithoutFaults(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FaultyBlobs:
        return FaultyBlobs(LocalBlobs(tmp_path))


def test_an_operation_fails_without_effect_and_then_goes_well(tmp_path: Path) -> None:
    blobs = FaultyBlobs(LocalBlobs(tmp_path))
    blobs.fail("put", part="/log/", times=1)
    blobs.put("a/other/1", b"x")
    with pytest.raises(StoreError, match="as the test asked"):
        blobs.put("a/log/1", b"x")
    assert not blobs.exists("a/log/1")
    blobs.put("a/log/1", b"x")
    assert blobs.get("a/log/1") == b"x"


def test_a_lost_reply_leaves_the_effect(tmp_path: Path) -> None:
    blobs = FaultyBlobs(LocalBlobs(tmp_path))
    blobs.lose_reply("put_new", error=ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        blobs.put_new("k", b"mine")
    assert blobs.get("k") == b"mine"
    assert blobs.put_new("k", b"mine")


def test_faults_may_begin_later(tmp_path: Path) -> None:
    blobs = FaultyBlobs(LocalBlobs(tmp_path))
    blobs.fail("get", skip=1)
    blobs.put("k", b"x")
    assert blobs.get("k") == b"x"
    with pytest.raises(StoreError):
        blobs.get("k")
    assert [operation for operation, _ in blobs.calls] == ["put", "get", "get"]
