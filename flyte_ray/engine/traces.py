"""Steps inside a task: run in this process, recorded like actions, replayed by later attempts.

A trace asks the record only when an earlier attempt, or a recovered run, may have run it; its row
is acknowledged before its caller goes on. A recorded success is handed back; a recorded failure
is raised again only when it was final (`NonRecoverableError`), else the step runs once more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from flyte_ray import errors
from flyte_ray.core.calls import Answer, AttemptSpec, Question
from flyte_ray.core.context import ActionContext, current, entered
from flyte_ray.core.failure import ErrorInfo, from_exception, to_exception
from flyte_ray.core.ids import ActionId, Scope, child_id, child_scope
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import BookKeeper, Codecs, ValueStore
from flyte_ray.engine.attempt import named_outputs, returned, types_of
from flyte_ray.engine.landing import landed


class TraceDesk:
    """Opens the traced steps of one attempt."""

    def __init__(
        self,
        *,
        spec: AttemptSpec,
        book: BookKeeper,
        codecs: Codecs,
        values: ValueStore,
        sequences: Callable[..., int],
    ) -> None:
        self.spec = spec
        self.book = book
        self.codecs = codecs
        self.values = values
        self._next = sequences

    async def open(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        """Name the step and look for its recorded result."""
        step = self._step(name, identity, interface, inputs)
        if self.spec.replay:
            (answer,) = await landed(self.book.look_up(self.spec.run.name, [step.question]))
            self._answered(step, answer)
        return step

    def open_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        """The same on a thread without a loop."""
        step = self._step(name, identity, interface, inputs)
        if self.spec.replay:
            (answer,) = self.book.look_up(self.spec.run.name, [step.question]).result()
            self._answered(step, answer)
        return step

    def _answered(self, step: TraceStep, answer: Answer | None) -> None:
        step.answer = answer
        if answer is not None and answer.source == "recovered":
            # Nobody waits for it: should the row be lost, the earlier run still has the answer.
            self.book.note(self.spec.run.name, [step.adopted(answer)])

    def _step(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        here = current()
        assert here is not None, "a trace outside of an action is transparent"
        owner = f"trace {name!r}, input"
        if here.bench.veil is not None:
            here.bench.veil.check(inputs, owner)
        payload = self.codecs.encode(inputs, types_of(interface), self.values, owner)
        digest, group = payload.digest, here.group or ""
        number = self._next(here.scope, identity, digest, group)
        named = _Named(
            name=name,
            identity=identity,
            interface=interface,
            inputs=payload,
            action_id=child_id(here.scope, identity, digest, group, number),
            scope=child_scope(here.scope, name, digest, group, number),
        )
        return TraceStep(self, here, named)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What a step is called, and what goes into it."""

    name: str
    identity: str
    interface: Interface
    inputs: Payload
    action_id: ActionId
    scope: Scope


class TraceStep:
    """One traced step: the `Trace` port."""

    def __init__(self, desk: TraceDesk, here: ActionContext, named: _Named) -> None:
        self._desk = desk
        self._here = here
        self._named = named
        self._started_us = utc_now_us()
        self.answer: Answer | None = None

    @property
    def question(self) -> Question:
        """What to ask the record about this step."""
        return Question(action_id=self._named.action_id, task=self._named.name)

    @property
    def found(self) -> bool:
        """True when `result` has something to say."""
        return self.answer is not None

    def result(self) -> Any:
        """The recorded value; raises the recorded error of a step that failed for good."""
        assert self.answer is not None, "nothing was found for this trace"
        if self.answer.error is not None:
            raise to_exception(ErrorInfo.from_dict(json.loads(self.answer.error)))
        return self._decoded(self.answer.outputs)

    def context(self) -> AbstractContextManager[ActionContext | None]:
        """Inside the block the step is the current action (for naming, and for `ctx().action`)."""
        return entered(
            replace(
                self._here,
                scope=self._named.scope,
                scope_id=self._named.action_id,
                in_trace=True,
            )
        )

    async def succeed(self, value: Any) -> Any:
        """Record the value; returns it once the store has it."""
        await landed(self._desk.book.record(self._desk.spec.run.name, [self._success(value)]))
        return value

    def succeed_blocking(self, value: Any) -> Any:
        """The same on a thread without a loop."""
        self._desk.book.record(self._desk.spec.run.name, [self._success(value)]).result()
        return value

    async def fail(self, error: BaseException) -> None:
        """Record the error; the caller raises it afterwards."""
        await landed(self._desk.book.record(self._desk.spec.run.name, [self._failure(error)]))

    def fail_blocking(self, error: BaseException) -> None:
        """The same on a thread without a loop."""
        self._desk.book.record(self._desk.spec.run.name, [self._failure(error)]).result()

    def _decoded(self, outputs: Payload) -> Any:
        values = self._desk.codecs.decode(outputs, self._named.interface.outputs, self._desk.values)
        return returned(values, self._named.interface)

    def adopted(self, answer: Answer) -> Event:
        """The row of a step whose result an earlier run has."""
        row = self._row(ActionPhase.RECOVERED, outputs=answer.outputs.to_json())
        origin = f"{answer.source_run}/{answer.source_action}"
        return replace(row, attrs={**row.attrs, "recovered_from": origin})

    def _success(self, value: Any) -> Event:
        owner = f"trace {self._named.name!r}, output"
        try:
            named = named_outputs(value, self._named.interface)
            if self._here.bench.veil is not None:
                self._here.bench.veil.check(named, owner)
            outputs = self._desk.codecs.encode(
                named,
                self._named.interface.outputs,
                self._desk.values,
                owner,
                are_inputs=False,
            )
        except TypeError as error:
            raise errors.RuntimeDataValidationError("output", error, self._named.name) from error
        return self._row(ActionPhase.SUCCEEDED, outputs=outputs.to_json())

    def _failure(self, error: BaseException) -> Event:
        info, veil = from_exception(error), self._here.bench.veil
        info = (veil.masked_error(info) or info) if veil is not None else info
        return self._row(ActionPhase.FAILED, error=json.dumps(info.to_dict()))

    def _row(
        self, phase: ActionPhase, *, outputs: str | None = None, error: str | None = None
    ) -> Event:
        spec, now = self._desk.spec, utc_now_us()
        return Event(
            kind=EventKind.TRACE,
            at_us=now,
            action_id=self._named.action_id,
            parent_id=spec.action_id,
            attempt=spec.attempt,
            task=self._named.name,
            phase=phase,
            inputs=self._named.inputs.to_json(),
            outputs=outputs,
            error=error,
            attrs={
                "identity": self._named.identity,
                "scope": self._named.scope,
                "started_us": self._started_us,
                "ended_us": now,
                **({"group": self._here.group} if self._here.group else {}),
            },
        )
