"""The driver: what it does for each command, and which rows it writes, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.calls import AttemptSpec, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, EventKind, Outcome, OutcomeKind, Settled
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.retry import Backoff, RetryStrategy
from flyte_ray.core.timeout import Timeout
from flyte_ray.engine.action import Action
from flyte_ray.engine.driver import Driver
from flyte_ray.errors import FencedError
from flyte_ray.testing import FakeClock
from tests.unit.engine.scenes import (
    MemoryBook,
    Scripted,
    action,
    answer,
    failed,
    of_kind,
    succeeded,
)

ONE = Payload(
    values={"o0": EncodedValue(codec="json", type="int", digest="d" * 64, size_bytes=1, inline="1")}
)
TWO = Payload(
    values={"o0": EncodedValue(codec="json", type="int", digest="e" * 64, size_bytes=1, inline="2")}
)


def retrying(count: int, base_s: float = 1.0) -> TaskOptions:
    backoff = Backoff(base=timedelta(seconds=base_s), factor=2.0, cap=timedelta(hours=1))
    return TaskOptions(retries=RetryStrategy(count, backoff=backoff))


def drive(
    what: Action,
    executor: Any,
    book: MemoryBook | None = None,
    clock: FakeClock | None = None,
) -> Settled:
    driver = Driver(
        executor=executor, book=book or MemoryBook(), clock=clock or FakeClock(autojump=True)
    )
    return asyncio.run(driver.drive(what))


def question(**changes: Any) -> Question:
    return replace(Question(action_id=ActionId("a1"), task="env.step"), **changes)


def test_a_success_is_submitted_then_recorded_before_it_is_told() -> None:
    book = MemoryBook()
    executor = Scripted(succeeded(ONE))
    settled = drive(action(), executor, book)
    assert settled == Settled(phase=ActionPhase.SUCCEEDED, outputs=ONE)
    assert book.kinds == ["submitted", "succeeded"]
    assert [event.kind for event in book.recorded] == [EventKind.SUCCEEDED]
    assert book.events[0].attrs["identity"] == "code"
    assert book.events[1].outputs == ONE.to_json()
    (spec,) = executor.specs
    assert book.events[1].queued_us == book.events[1].attrs["queued_us"] == spec.queued_us > 0


def test_a_failure_is_settled_with_its_error() -> None:
    book = MemoryBook()
    settled = drive(action(), Scripted(failed(OutcomeKind.USER_ERROR, "no")), book)
    assert settled.phase is ActionPhase.FAILED
    assert settled.error is not None
    assert settled.error.message == "no"
    assert book.kinds == ["submitted", "failed"]


def test_retries_wait_their_backoff_and_number_their_attempts() -> None:
    book, clock = MemoryBook(), FakeClock(autojump=True)
    executor = Scripted(
        failed(OutcomeKind.USER_ERROR), failed(OutcomeKind.OUT_OF_MEMORY), succeeded(ONE)
    )
    settled = drive(action(options=retrying(2)), executor, book, clock)
    assert settled.phase is ActionPhase.SUCCEEDED
    assert [spec.attempt for spec in executor.specs] == [1, 2, 3]
    assert clock.slept == [1.0, 2.0]
    assert book.kinds == ["submitted", "retrying", "retrying", "succeeded"]
    assert [event.attempt for event in book.events] == [0, 1, 2, 3]
    assert [event.attrs["backoff_s"] for event in of_kind(book.events, "retrying")] == [1.0, 2.0]


def test_later_attempts_ask_the_record_for_their_children() -> None:
    executor = Scripted(failed(OutcomeKind.USER_ERROR), succeeded())
    drive(action(options=retrying(1)), executor)
    assert [spec.replay for spec in executor.specs] == [False, True]


def test_the_last_failure_is_the_one_that_is_told() -> None:
    executor = Scripted(
        failed(OutcomeKind.USER_ERROR, "first"), failed(OutcomeKind.USER_ERROR, "second")
    )
    settled = drive(action(options=retrying(1)), executor)
    assert settled.error is not None
    assert settled.error.message == "second"


def test_a_final_error_spends_no_retry() -> None:
    executor = Scripted(failed(OutcomeKind.FINAL_ERROR))
    assert drive(action(options=retrying(5)), executor).phase is ActionPhase.FAILED
    assert len(executor.specs) == 1


def test_a_lost_worker_costs_the_author_nothing() -> None:
    clock = FakeClock(autojump=True)
    executor = Scripted(
        failed(OutcomeKind.PLATFORM_ERROR), failed(OutcomeKind.PLATFORM_ERROR), succeeded()
    )
    assert drive(action(), executor, None, clock).phase is ActionPhase.SUCCEEDED
    assert clock.slept == pytest.approx([0.2, 0.4])


def test_what_the_record_knows_is_not_run() -> None:
    book = MemoryBook({"a1": answer("book", ONE)})
    executor = Scripted()
    settled = drive(action(question=question()), executor, book)
    assert settled == Settled(phase=ActionPhase.SUCCEEDED, outputs=ONE)
    assert executor.specs == []
    assert book.events == []


@pytest.mark.parametrize(
    ("source", "phase", "kind", "attr"),
    [
        ("cache", ActionPhase.SUCCEEDED, "cache_hit", "cached_from"),
        ("recovered", ActionPhase.RECOVERED, "recovered", "recovered_from"),
    ],
)
def test_what_another_run_knows_is_adopted_and_recorded(
    source: str, phase: ActionPhase, kind: str, attr: str
) -> None:
    book = MemoryBook({"a1": answer(source, ONE)})
    settled = drive(action(question=question()), Scripted(), book)
    assert settled == Settled(phase=phase, outputs=ONE)
    assert book.kinds == [kind]
    assert book.recorded == book.events
    assert book.events[0].attrs == {"identity": "code", attr: "earlier/a9"}
    assert book.events[0].inputs == Payload().to_json()


def test_without_a_question_the_record_is_not_asked() -> None:
    book = MemoryBook({"a1": answer("book", ONE)})
    drive(action(), Scripted(succeeded()), book)
    assert book.questions == []


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, 30))


def test_cancelling_stops_the_attempt_and_notes_the_abort() -> None:
    async def scene() -> tuple[MemoryBook, Scripted]:
        book, executor = MemoryBook(), Scripted(None)
        driver = Driver(executor=executor, book=book, clock=FakeClock())
        driving = asyncio.ensure_future(driver.drive(action()))
        await executor.began.wait()
        driving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await driving
        return book, executor

    book, executor = run(scene())
    assert executor.stopped == 1
    assert book.kinds == ["submitted", "aborted"]
    assert book.recorded == []


def test_cancelling_during_a_backoff_starts_no_further_attempt() -> None:
    async def scene() -> tuple[MemoryBook, Scripted]:
        book, clock = MemoryBook(), FakeClock()
        executor = Scripted(failed(OutcomeKind.USER_ERROR), succeeded())
        driver = Driver(executor=executor, book=book, clock=clock)
        driving = asyncio.ensure_future(driver.drive(action(options=retrying(1))))
        await clock.advance(0.5)
        assert clock.sleepers == 1
        driving.cancel()
        await asyncio.wait({driving})
        return book, executor

    book, executor = run(scene())
    assert len(executor.specs) == 1
    assert book.kinds == ["submitted", "retrying", "aborted"]


def with_deadline(seconds: float, retries: int = 0) -> TaskOptions:
    return replace(retrying(retries), timeout=Timeout(deadline=timedelta(seconds=seconds)))


def test_the_deadline_stops_the_attempt_and_is_final() -> None:
    book, executor = MemoryBook(), Scripted(None)
    settled = drive(action(options=with_deadline(0.05, retries=3)), executor, book)
    assert settled.phase is ActionPhase.TIMED_OUT
    assert settled.error is not None
    assert settled.error.code == "DeadlineExceededError"
    assert executor.stopped == 1
    assert book.kinds == ["submitted", "timed_out"]


def test_the_deadline_holds_during_a_backoff() -> None:
    executor = Scripted(failed(OutcomeKind.USER_ERROR))
    settled = drive(
        action(options=with_deadline(0.05, retries=1)), executor, MemoryBook(), FakeClock()
    )
    assert settled.phase is ActionPhase.TIMED_OUT


class SlowBook(MemoryBook):
    """Its store takes its time: rows are acknowledged when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[Future[None]] = []

    def record(self, run: str, events: Any) -> Future[None]:
        super().record(run, events)
        self.pending.append(Future())
        return self.pending[-1]


def test_a_result_in_time_counts_though_its_row_lands_after_the_deadline() -> None:
    async def scene() -> Settled:
        book = SlowBook()
        driver = Driver(executor=Scripted(succeeded(ONE)), book=book, clock=FakeClock())
        driving = asyncio.ensure_future(driver.drive(action(options=with_deadline(0.05))))
        done, _ = await asyncio.wait({driving}, timeout=0.2)
        assert not done
        book.pending[0].set_result(None)
        return await driving

    assert run(scene()) == Settled(phase=ActionPhase.SUCCEEDED, outputs=ONE)


class Unmoved(Scripted):
    """An attempt that ends well when it is stopped."""

    async def execute(self, spec: AttemptSpec, task: object) -> Outcome:
        try:
            return await super().execute(spec, task)
        except asyncio.CancelledError:
            return succeeded(ONE)


def test_a_result_instead_of_a_stop_at_the_deadline_is_no_error_of_the_drive() -> None:
    settled = drive(action(options=with_deadline(0.05)), Unmoved(None))
    assert settled == Settled(phase=ActionPhase.SUCCEEDED, outputs=ONE)


def test_a_host_that_was_replaced_is_an_error_of_the_drive() -> None:
    book = MemoryBook()
    book.refusal = FencedError("another host has the run")
    with pytest.raises(FencedError):
        drive(action(), Scripted(succeeded()), book)


def test_a_resumed_action_asks_the_record_and_numbers_on() -> None:
    resumed = action(run=None).resumed(attempts=2)
    assert resumed.question is not None
    assert resumed.question.replay
    executor = Scripted(succeeded())
    drive(resumed, executor)
    assert [(spec.attempt, spec.replay) for spec in executor.specs] == [(3, True)]


def test_a_resumed_action_keeps_what_it_would_have_asked() -> None:
    asked = question(cache_key="k", replay=False, adopt=False)
    resumed = action(question=asked).resumed(attempts=0)
    assert resumed.question == replace(asked, replay=True)


def test_a_resumed_root_is_not_taken_from_the_run_that_it_recovers() -> None:
    root = action(action_id=ActionId("a0"), parent_id=None, run=None).resumed(attempts=1)
    assert root.question is not None
    assert (root.question.replay, root.question.adopt) == (True, False)


def test_rows_name_run_parent_and_task() -> None:
    book = MemoryBook()
    drive(action(cache_key="key"), Scripted(succeeded()), book)
    for event in book.events:
        assert (event.action_id, event.parent_id, event.task) == ("a1", "a0", "env.step")
        assert event.cache_key == "key"
    assert action().spec.run.name == RunName("r1")


class HeldFor(MemoryBook):
    """Somebody else computes the action for so many questions."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def look_up(self, run: str, questions: Any) -> Any:
        self.answers = {}
        if len(self.questions) < self.times:
            self.answers = {"a1": replace(answer("held"), ask_again_s=1.0)}
        elif self.recorded:
            self.answers = {"a1": answer("book", TWO)}
        return super().look_up(run, questions)


def test_what_somebody_else_computes_is_asked_for_until_they_give_up() -> None:
    book, executor = HeldFor(3), Scripted(succeeded(ONE))
    asked = question(cache_key="k", serialize=True, replay=False)
    settled = drive(action(question=asked), executor, book)
    assert [each.replay for each in book.questions] == [False] * 4 + [True]
    assert [event.kind for event in book.events] == [EventKind.SUBMITTED, EventKind.SUCCEEDED]
    assert settled.outputs == TWO, "what the host says counts"


class BookOfTheFirst(MemoryBook):
    """Another attempt of the same parent was first: the book has its outputs."""

    def look_up(self, run: str, questions: Any) -> Any:
        self.answers = {"a1": answer("book", TWO)} if self.recorded else {}
        return super().look_up(run, questions)


@pytest.mark.parametrize("is_retried", [True, False])
def test_a_success_that_was_not_the_first_is_told_as_the_first_one(is_retried: bool) -> None:
    book = BookOfTheFirst()
    if is_retried:
        executor = Scripted(failed(OutcomeKind.USER_ERROR), succeeded(ONE))
        settled = drive(action(options=retrying(1)), executor, book)
        assert book.questions, "the book is asked"
    else:
        settled = drive(action(replay=True), Scripted(succeeded(ONE)), book)
    assert settled.outputs == TWO
