"""Answers the calls of one running action: names the child, has it driven, hands its result back.

One controller per attempt of a parent, in the parent's process. It keeps what must be the same in
every attempt (the sequence numbers of equal calls) and what bounds a fan-out (the gate). It may be
called from several loops and threads at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_ray import errors
from flyte_ray._syncify import run_sync
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, Call
from flyte_ray.core.condition import ConditionWish
from flyte_ray.core.context import ActionContext, current
from flyte_ray.core.failure import to_exception
from flyte_ray.core.ids import child_id, child_scope
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import Settled
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs, BookKeeper, Codecs, ValueStore
from flyte_ray.engine.action import Action
from flyte_ray.engine.attempt import returned
from flyte_ray.engine.blueprint import Blueprint, Blueprints
from flyte_ray.engine.by_value import ByValue
from flyte_ray.engine.code_record import CodeRecord
from flyte_ray.engine.conditions import ConditionDesk, ConditionStep, ConditionTools, Rest
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.gate import Gate
from flyte_ray.engine.intake import NOT_ASKED
from flyte_ray.engine.links import rendered_links
from flyte_ray.engine.loading import portable
from flyte_ray.engine.traces import TraceDesk, TraceStep
from flyte_ray.engine.underway import Underway


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the controllers of one process share."""

    driver: Driver
    book: BookKeeper
    codecs: Codecs
    values: ValueStore
    blobs: Blobs
    codes: CodeRecord = field(default_factory=CodeRecord)
    ships: ByValue | None = None
    """Sends tasks to other processes that these cannot import; None where children run here."""
    rest: Rest = asyncio.sleep
    """Lets time pass while a body waits for an answer from outside."""


class Sequences:
    """Counts equal calls under one parent: 1, 2, … per (identity, inputs, group, scope)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[tuple[str, ...], int] = {}

    def next(self, *key: str) -> int:
        """The number of this call among its equals, in the order in which they were made."""
        with self._lock:
            number = self._last.get(key, 0) + 1
            self._last[key] = number
            return number


class ActionController:
    """The `Controller` port for one attempt of one action."""

    def __init__(self, spec: AttemptSpec, surroundings: Surroundings) -> None:
        self._spec = spec
        self._around = surroundings
        self._sequences = Sequences()
        self._blueprints = Blueprints()
        self._gate = Gate(spec.run.max_action_concurrency)
        self._underway = Underway()

    def submit(self, call: Call) -> Coroutine[Any, Any, Any]:
        """Run a child action; see `core.ports.Controller.submit`."""
        return self._submit(_here(call), call)

    def submit_blocking(self, call: Call) -> Any:
        """The same for a thread without a loop: the child is driven on the engine's own loop."""
        return run_sync(self._submit(_here(call), call))

    async def _submit(self, here: ActionContext, call: Call) -> Any:
        around = self._around
        blueprint = self._blueprint(call.task)
        if here.bench.veil is not None:
            here.bench.veil.check(call.inputs, blueprint.owner)
        inputs = around.codecs.encode(call.inputs, blueprint.types, around.values, blueprint.owner)
        action = self._child(here, blueprint, inputs)
        caller = self._underway.begin()
        try:
            found = NOT_ASKED if action.question is None else await around.driver.find(action)
            if isinstance(found, Settled):
                settled = found  # what is answered takes nobody's place
            else:
                if not self._gate.enter_at_once():
                    await self._turn_of(action)
                try:
                    if blueprint.is_by_value:
                        action = self._sent_along(action, call.task)
                    settled = await around.driver.run(action, found)
                finally:
                    self._gate.leave()
        finally:
            self._underway.end(caller)
        return self._value(call.task, settled)

    def _sent_along(self, action: Action, task: Callee) -> Action:
        ships = self._around.ships
        try:
            return action if ships is None else ships.sent_along(action, task)
        except BaseException:
            self._around.driver.give_up(action)
            raise

    async def _turn_of(self, action: Action) -> None:
        try:
            await self._gate.enter()
        except asyncio.CancelledError:
            self._around.driver.give_up(action)
            raise

    def _blueprint(self, task: Callee) -> Blueprint:
        known = self._blueprints.get(task)
        if known is None:
            run = self._spec.run
            address = portable(task.address, run.code.root)
            known = self._blueprints.keep(Blueprint(task, run, address))
        return known

    async def open_condition(self, wish: ConditionWish) -> ConditionStep:
        """Ask for an answer from outside; see `core.ports.Controller.open_condition`."""
        around = self._around
        tools = ConditionTools(
            book=around.book,
            codecs=around.codecs,
            values=around.values,
            blobs=around.blobs,
            rest=around.rest,
        )
        return await ConditionDesk(self._spec, tools, self._sequences.next).open(wish)

    @property
    def has_calls_underway(self) -> bool:
        """True while children are in flight; after the body's end, those it never awaited."""
        return self._underway.any

    async def close(self) -> None:
        """The body has ended: what it left running (tasks never awaited) is cancelled."""
        await self._underway.cancel_all()

    async def open_trace(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        """Name a traced step and look for its recorded result."""
        return await self._traces().open(name, identity, interface, inputs)

    def open_trace_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        """`open_trace` for a thread without a loop."""
        return self._traces().open_blocking(name, identity, interface, inputs)

    def _traces(self) -> TraceDesk:
        return TraceDesk(
            spec=self._spec,
            book=self._around.book,
            codecs=self._around.codecs,
            values=self._around.values,
            sequences=self._sequences.next,
        )

    def _child(self, here: ActionContext, blueprint: Blueprint, inputs: Payload) -> Action:
        task, spec = blueprint.task, self._spec
        digest, group = blueprint.digest_of(inputs), here.group or ""
        own = blueprint.own_identity
        number = self._sequences.next(here.scope, own, digest, group)
        action_id = child_id(here.scope, own, digest, group, number)
        key = blueprint.key(digest)
        child = AttemptSpec(
            run=spec.run,
            action_id=action_id,
            parent_id=spec.action_id,
            scope=child_scope(here.scope, task.name, digest, group, number),
            task=task.name,
            address=blueprint.address,
            attempt=1,
            inputs=inputs,
            options=blueprint.options,
            group=here.group,
            custom_context=here.custom_context,
            replay=spec.replay,
            cache_key=key,
        )
        more = self._around.codes.untold(spec.run.name, task, blueprint.identity)
        if blueprint.options.links:
            more = {**more, **rendered_links(task, child)}
        return Action(
            spec=child,
            task=task,
            question=blueprint.question(
                action_id, key, replay=spec.replay, parent_id=spec.action_id
            ),
            attrs=blueprint.facts(child.scope, here.group, here.custom_context, more),
        )

    def _value(self, task: Callee, settled: Settled) -> Any:
        if settled.error is not None:
            raise to_exception(settled.error)
        assert settled.outputs is not None, f"{task.name} succeeded without outputs"
        around = self._around
        values = around.codecs.decode(settled.outputs, task.interface.outputs, around.values)
        return returned(values, task.interface)


def _here(call: Call) -> ActionContext:
    here = current()
    if here is None:
        raise errors.NotInTaskContextError(
            "NotInTaskContext", f"task {call.task.name!r} was submitted outside of a task."
        )
    return here
