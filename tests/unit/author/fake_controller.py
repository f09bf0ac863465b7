"""A controller that keeps its book in a dict and runs children in place."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import Call, RunSpec
from flyte_ray.core.condition import ConditionWish
from flyte_ray.core.context import ActionContext, Workbench, current, entered
from flyte_ray.core.ids import ROOT_ACTION, ROOT_SCOPE, ActionId, RunName, Scope
from flyte_ray.core.interface import Interface
from flyte_ray.core.payload import Payload


@dataclass(frozen=True)
class Asked:
    """One call as the controller saw it."""

    task: str
    inputs: dict[str, Any]
    group: str | None
    custom_context: dict[str, str]
    options: Any


class FakeTrace:
    """One traced step, kept in the controller's dict."""

    def __init__(self, book: dict[Any, Any], key: Any) -> None:
        self._book = book
        self._key = key

    @property
    def found(self) -> bool:
        return self._key in self._book

    def result(self) -> Any:
        return self._book[self._key]

    def context(self) -> Any:
        here = current()
        assert here is not None
        name = f"trace-{self._key[0]}"
        return entered(replace(here, in_trace=True, scope_id=ActionId(name), scope=Scope(name)))

    async def succeed(self, value: Any) -> Any:
        return self.succeed_blocking(value)

    async def fail(self, error: BaseException) -> None:
        self.fail_blocking(error)

    def succeed_blocking(self, value: Any) -> Any:
        self._book[self._key] = value
        return value

    def fail_blocking(self, error: BaseException) -> None:
        self._book.setdefault("failed", []).append((self._key[0], error))


class FakeAnswer:
    """A question that was answered before it was asked."""

    is_new = True

    def __init__(self, value: Any) -> None:
        self._value = value

    async def wait(self) -> Any:
        return self._value


class FakeController:
    """The `Controller` port without an engine."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.traced: dict[Any, Any] = {}
        self.wishes: list[ConditionWish] = []
        self.answers: dict[str, Any] = {}
        self.running = 0
        self.most_running = 0
        self.cancelled: list[str] = []
        self._lock = threading.Lock()
        self._sequence: dict[Any, int] = {}

    async def submit(self, call: Call) -> Any:
        child = self._begin(call)
        try:
            with entered(child):
                result = call.task.interface.call(call.task.func, call.inputs)
                return await result if call.task.is_async else result
        except asyncio.CancelledError:
            self.cancelled.append(call.task.name)
            raise
        finally:
            self._end()

    def submit_blocking(self, call: Call) -> Any:
        assert not call.task.is_async
        child = self._begin(call)
        try:
            with entered(child):
                return call.task.interface.call(call.task.func, call.inputs)
        finally:
            self._end()

    async def open_trace(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> FakeTrace:
        return self.open_trace_blocking(name, identity, interface, inputs)

    def open_trace_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> FakeTrace:
        call = (name, identity, repr(sorted(inputs.items())))
        number = self._sequence.get(call, 0) + 1
        self._sequence[call] = number
        return FakeTrace(self.traced, (*call, number))

    async def open_condition(self, wish: ConditionWish) -> FakeAnswer:
        self.wishes.append(wish)
        return FakeAnswer(self.answers[wish.name])

    def next_attempt(self) -> None:
        """Count equal traces from 1 again, as a new attempt of the parent does."""
        self._sequence.clear()

    def _begin(self, call: Call) -> ActionContext:
        here = current()
        assert here is not None
        with self._lock:
            self.asked.append(
                Asked(
                    task=call.task.name,
                    inputs=dict(call.inputs),
                    group=here.group,
                    custom_context=dict(here.custom_context),
                    options=call.task.options,
                )
            )
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        return replace(here, action_id=ActionId("child"), group=None, bench=Workbench())

    def _end(self) -> None:
        with self._lock:
            self.running -= 1


def run_spec(**changes: Any) -> RunSpec:
    """The description of a run that nobody started."""
    spec = RunSpec(
        name=RunName("r1"),
        store_url="memory://",
        task="env.main",
        address=TaskAddress(name="env.main"),
        task_identity="0" * 64,
        inputs=Payload(),
    )
    return replace(spec, **changes)


@contextlib.contextmanager
def in_action(controller: FakeController | None = None, **changes: Any) -> Iterator[FakeController]:
    """Be inside a running action that `controller` answers."""
    controller = controller or FakeController()
    context = ActionContext(
        controller=controller,
        run=changes.pop("run", run_spec()),
        action_id=ROOT_ACTION,
        parent_id=None,
        scope=ROOT_SCOPE,
        scope_id=ROOT_ACTION,
        task="env.main",
        attempt=changes.pop("attempt", 1),
        mode="local",
    )
    with entered(replace(context, **changes)):
        yield controller
