"""What engine tests act with: attempts nobody asked for, a book in memory, a scripted executor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import Answer, AttemptSpec, Question, RunSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.ids import ActionId, RunName, Scope
from flyte_ray.core.model import Event, Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EMPTY, Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.action import Action
from flyte_ray.engine.controller import ActionController, Surroundings
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.host import RunHost
from flyte_ray.store.values import RunValues


def run_spec(**changes: Any) -> RunSpec:
    spec = RunSpec(
        name=RunName("r1"),
        store_url="memory://",
        task="env.main",
        address=TaskAddress(name="env.main"),
        task_identity="0" * 64,
        inputs=EMPTY,
    )
    return replace(spec, **changes)


def attempt(**changes: Any) -> AttemptSpec:
    task = changes.pop("task", "env.step")
    spec = AttemptSpec(
        run=changes.pop("run", None) or run_spec(),
        action_id=ActionId("a1"),
        parent_id=ActionId("a0"),
        scope=Scope("s1"),
        task=task,
        address=TaskAddress(name=task, module="nowhere"),
        attempt=1,
        inputs=EMPTY,
        options=TaskOptions(),
    )
    return replace(spec, **changes)


def action(**changes: Any) -> Action:
    question = changes.pop("question", None)
    return Action(spec=attempt(**changes), task=None, question=question, attrs={"identity": "code"})


def succeeded(outputs: Payload = EMPTY) -> Outcome:
    return Outcome(kind=OutcomeKind.SUCCEEDED, outputs=outputs)


def failed(kind: OutcomeKind, message: str = "it broke") -> Outcome:
    return Outcome(kind=kind, error=from_exception(ValueError(message)))


class MemoryBook:
    """The `BookKeeper` port in memory. `record`ed and `note`d rows stand in one list, in order."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.events: list[Event] = []
        self.recorded: list[Event] = []
        self.questions: list[Question] = []
        self.answers = dict(answers or {})
        self.refusal: Exception | None = None

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        done: Future[None] = Future()
        if self.refusal is not None:
            done.set_exception(self.refusal)
            return done
        self.events.extend(events)
        self.recorded.extend(events)
        done.set_result(None)
        return done

    def note(self, run: str, events: Sequence[Event]) -> None:
        self.events.extend(events)

    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        self.questions.extend(questions)
        done: Future[list[Answer | None]] = Future()
        done.set_result([self.answers.get(question.action_id) for question in questions])
        return done

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


class HostBook(MemoryBook):
    """A book whose rows go to a run's host."""

    def __init__(self, host: RunHost) -> None:
        super().__init__()
        self._host = host

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        return self._host.record(events)

    def note(self, run: str, events: Sequence[Event]) -> None:
        self._host.note(events)


class Scripted:
    """An executor that plays outcomes back; None is an attempt that never ends by itself."""

    def __init__(self, *outcomes: Outcome | None) -> None:
        self._outcomes = list(outcomes)
        self.specs: list[AttemptSpec] = []
        self.stopped = 0
        self.began = asyncio.Event()

    def check(self, options: TaskOptions) -> str | None:
        return None

    async def execute(self, spec: AttemptSpec, task: object) -> Outcome:
        self.specs.append(spec)
        self.began.set()
        outcome = self._outcomes.pop(0)
        if outcome is not None:
            await asyncio.sleep(0)
            return outcome
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        raise AssertionError("unreachable")


def answer(source: str, outputs: Payload = EMPTY) -> Answer:
    return Answer(
        outputs=outputs,
        source=source,
        source_run=RunName("earlier"),
        source_action=ActionId("a9"),
    )


def encoded(blobs: Blobs, values: Mapping[str, Any], types: Mapping[str, Any]) -> Payload:
    return PayloadCodec().encode(values, types, RunValues(blobs, RunName("r1")), "test")


def surroundings(blobs: Blobs, book: MemoryBook, executor: Any, clock: Any) -> Surroundings:
    return Surroundings(
        driver=Driver(executor=executor, book=book, clock=clock),
        book=book,
        codecs=PayloadCodec(),
        values=RunValues(blobs, RunName("r1")),
        blobs=blobs,
    )


def controller(spec: AttemptSpec, around: Surroundings) -> ActionController:
    return ActionController(spec, around)


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event.kind.value == kind]
