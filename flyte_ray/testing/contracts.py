"""Suites that every implementation of a port passes: test classes to inherit.

Usage, in a test file:

    class TestMyBlobs(BlobsContract):
        @pytest.fixture
        def blobs(self) -> Blobs:
            return MyBlobs(...)

Each test is named after what holds. Nothing here sleeps to wait for a state.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import Blobs, Executor
from flyte_ray.testing import specimens

Ask = Callable[..., AttemptSpec]
"""`ask(task, **inputs)`: the first attempt of a task, with encoded inputs."""


class BlobsContract:
    """What every `Blobs` must do; the subclass gives the fixture `blobs`, an empty store."""

    @pytest.fixture
    def blobs(self) -> Blobs:
        """An empty store."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `blobs`")

    def test_get_returns_what_was_put(self, blobs: Blobs) -> None:
        blobs.put("a/b/c", b"one", bytearray(b" two"), memoryview(b" three"))
        assert blobs.get("a/b/c") == b"one two three"

    def test_put_without_parts_stores_an_empty_object(self, blobs: Blobs) -> None:
        blobs.put("empty")
        assert blobs.get("empty") == b""
        assert blobs.exists("empty")

    def test_put_replaces_the_whole_object(self, blobs: Blobs) -> None:
        blobs.put("k", b"a long first value")
        blobs.put("k", b"short")
        assert blobs.get("k") == b"short"

    def test_put_takes_parts_of_wider_items(self, blobs: Blobs) -> None:
        numbers = memoryview(bytes(range(16))).cast("q")
        blobs.put("numbers", numbers)
        assert blobs.get("numbers") == bytes(range(16))

    def test_put_new_creates(self, blobs: Blobs) -> None:
        assert blobs.put_new("x/new", b"mine")
        assert blobs.get("x/new") == b"mine"

    def test_put_new_leaves_an_existing_object_alone(self, blobs: Blobs) -> None:
        blobs.put_new("k", b"first")
        assert not blobs.put_new("k", b"second")
        assert blobs.get("k") == b"first"

    def test_put_new_of_the_same_bytes_is_a_success(self, blobs: Blobs) -> None:
        blobs.put_new("k", b"same")
        assert blobs.put_new("k", b"same")

    def test_get_of_a_missing_object_is_file_not_found(self, blobs: Blobs) -> None:
        with pytest.raises(FileNotFoundError):
            blobs.get("no/such/key")

    def test_get_below_an_object_is_file_not_found(self, blobs: Blobs) -> None:
        blobs.put("file", b"x")
        with pytest.raises(FileNotFoundError):
            blobs.get("file/below")

    def test_exists_tells_objects_from_folders_and_nothing(self, blobs: Blobs) -> None:
        blobs.put("folder/file", b"x")
        assert blobs.exists("folder/file")
        assert not blobs.exists("folder")
        assert not blobs.exists("folder/other")

    def test_list_names_objects_and_folders_directly_below_sorted(self, blobs: Blobs) -> None:
        for key in ("p/b", "p/a/1", "p/a/2", "p/c/d/e", "q"):
            blobs.put(key, b"x")
        assert list(blobs.list("p")) == ["a", "b", "c"]
        assert list(blobs.list("p/a")) == ["1", "2"]
        assert list(blobs.list("")) == ["p", "q"]

    def test_list_of_nothing_is_empty(self, blobs: Blobs) -> None:
        assert list(blobs.list("nothing/here")) == []

    def test_list_sees_what_was_just_written(self, blobs: Blobs) -> None:
        assert list(blobs.list("p")) == []
        blobs.put_new("p/1", b"x")
        assert list(blobs.list("p")) == ["1"]
        blobs.put("p/2", b"x")
        assert list(blobs.list("p")) == ["1", "2"]

    def test_delete_removes_and_does_not_mind_missing_objects(self, blobs: Blobs) -> None:
        blobs.put("d/1", b"x")
        blobs.put("d/2", b"x")
        blobs.delete(["d/1", "d/none"])
        assert list(blobs.list("d")) == ["2"]
        blobs.delete(["d/2"])
        assert list(blobs.list("")) == []

    def test_a_deleted_object_can_be_created_again(self, blobs: Blobs) -> None:
        blobs.put_new("d/k", b"first")
        blobs.delete(["d/k"])
        assert blobs.put_new("d/k", b"second")

    def test_of_many_threads_exactly_one_creates(self, blobs: Blobs) -> None:
        wins: list[tuple[int, int]] = []

        def create(me: int) -> None:
            wins.extend((k, me) for k in range(50) if blobs.put_new(f"race/{k}", f"{me}".encode()))

        threads = [threading.Thread(target=create, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(k for k, _ in wins) == list(range(50))
        assert all(blobs.get(f"race/{k}") == f"{me}".encode() for k, me in wins)

    def test_names_with_odd_characters_are_kept(self, blobs: Blobs) -> None:
        key = "mail/signal~a%2Fb c+d=é.json"
        blobs.put_new(key, b"x")
        assert list(blobs.list("mail")) == [key.partition("/")[2]]
        assert blobs.get(key) == b"x"


class ExecutorContract:
    """What every `Executor` must do; the subclass gives the fixtures `executor` and `ask`."""

    @pytest.fixture
    def executor(self) -> Executor:
        """The executor under test."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `executor`")

    @pytest.fixture
    def ask(self) -> Ask:
        """`ask(task, **inputs)` makes the first attempt of a task, as a controller would."""
        raise NotImplementedError(f"{type(self).__name__} must define the fixture `ask`")

    @pytest.mark.parametrize("task", [specimens.double, specimens.double_async])
    def test_a_body_runs_and_its_outputs_come_back(
        self, executor: Executor, ask: Ask, task: Any
    ) -> None:
        outcome = asyncio.run(executor.execute(ask(task, x=21), task))
        assert outcome.kind is OutcomeKind.SUCCEEDED
        assert outcome.outputs is not None
        assert outcome.outputs.values["o0"].inline == "42"
        assert outcome.started_us <= outcome.ended_us

    @pytest.mark.parametrize("task", [specimens.fail, specimens.fail_async])
    def test_what_a_body_raises_is_an_outcome(
        self, executor: Executor, ask: Ask, task: Any
    ) -> None:
        outcome = asyncio.run(executor.execute(ask(task, why="no reason"), task))
        assert outcome.kind is OutcomeKind.USER_ERROR
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.message) == ("ValueError", "no reason")

    def test_an_error_that_says_so_is_final(self, executor: Executor, ask: Ask) -> None:
        outcome = asyncio.run(executor.execute(ask(specimens.fail_for_good), None))
        assert outcome.kind is OutcomeKind.FINAL_ERROR

    def test_an_exit_is_an_outcome_like_any_error(self, executor: Executor, ask: Ask) -> None:
        outcome = asyncio.run(executor.execute(ask(specimens.leave), specimens.leave))
        assert outcome.kind is OutcomeKind.USER_ERROR
        assert outcome.error is not None
        assert outcome.error.code == "SystemExit"

    def test_a_result_of_the_wrong_type_is_final(self, executor: Executor, ask: Ask) -> None:
        outcome = asyncio.run(executor.execute(ask(specimens.lie), specimens.lie))
        assert outcome.kind is OutcomeKind.FINAL_ERROR
        assert outcome.error is not None
        assert outcome.error.code == "DataValidationError"

    def test_what_a_body_prints_is_kept(self, executor: Executor, ask: Ask) -> None:
        outcome = asyncio.run(executor.execute(ask(specimens.talk), specimens.talk))
        assert "the specimen speaks" in outcome.logs

    @pytest.mark.parametrize("task", [specimens.idle, specimens.idle_async])
    def test_a_body_that_runs_too_long_is_timed_out(
        self, executor: Executor, ask: Ask, task: Any
    ) -> None:
        impatient = task.override(timeout=timedelta(seconds=0.2))
        outcome = asyncio.run(executor.execute(ask(impatient, seconds=60.0), impatient))
        assert outcome.kind is OutcomeKind.TIMED_OUT

    def test_cancelling_stops_the_attempt(self, executor: Executor, ask: Ask) -> None:
        async def cancel() -> None:
            spec = ask(specimens.idle_async, seconds=60.0)
            running = asyncio.ensure_future(executor.execute(spec, specimens.idle_async))
            await asyncio.wait({running}, timeout=0.2)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(cancel())

    def test_attempts_run_side_by_side(self, executor: Executor, ask: Ask) -> None:
        async def both() -> list[str]:
            tasks = [executor.execute(ask(specimens.double, x=x), None) for x in range(5)]
            outcomes = await asyncio.gather(*tasks)
            return [str(each.outputs and each.outputs.values["o0"].inline) for each in outcomes]

        assert asyncio.run(both()) == ["0", "2", "4", "6", "8"]

    def test_a_task_that_asks_for_nothing_can_be_carried_out(self, executor: Executor) -> None:
        assert executor.check(TaskOptions()) is None
