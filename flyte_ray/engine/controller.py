"""Answers the calls of one running action: names the child, has it driven, hands its result back.

One controller per attempt of a parent, in the parent's process. It keeps what must be the same in
every attempt (the sequence numbers of equal calls) and what bounds a fan-out (the gate). It may be
called from several loops and threads at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_ray import errors
from flyte_ray._syncify import run_sync
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.cache_key import CacheComponents, components_of
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, Call, Question, RunSpec
from flyte_ray.core.condition import ConditionWish
from flyte_ray.core.context import ActionContext, current
from flyte_ray.core.digest import digest_json
from flyte_ray.core.failure import to_exception
from flyte_ray.core.ids import ActionId, child_id, child_scope
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import Settled
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs, BookKeeper, Codecs, ValueStore
from flyte_ray.engine.attempt import returned, types_of
from flyte_ray.engine.code_record import CodeRecord
from flyte_ray.engine.conditions import ConditionDesk, ConditionStep, ConditionTools, Rest
from flyte_ray.engine.driver import Action, Driver
from flyte_ray.engine.gate import Gate
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
        self._gate = Gate(spec.run.max_action_concurrency)
        self._underway = Underway()
        self._traces = TraceDesk(
            spec=spec,
            book=surroundings.book,
            codecs=surroundings.codecs,
            values=surroundings.values,
            sequences=self._sequences.next,
        )
        self._conditions = ConditionDesk(
            spec,
            ConditionTools(
                book=surroundings.book,
                codecs=surroundings.codecs,
                values=surroundings.values,
                blobs=surroundings.blobs,
                rest=surroundings.rest,
            ),
            self._sequences.next,
        )

    async def submit(self, call: Call) -> Any:
        """Run a child action; see `core.ports.Controller.submit`."""
        return await self._submit(_here(call), call)

    def submit_blocking(self, call: Call) -> Any:
        """The same for a thread without a loop: the child is driven on the engine's own loop."""
        return run_sync(self._submit(_here(call), call))

    async def _submit(self, here: ActionContext, call: Call) -> Any:
        task = call.task
        owner = f"task {task.name!r}, input"
        around = self._around
        inputs = around.codecs.encode(call.inputs, types_of(task.interface), around.values, owner)
        action = self._child(here, task, inputs)
        with self._underway:
            async with self._gate:
                settled = await around.driver.drive(action)
        return self._value(task, settled)

    async def open_condition(self, wish: ConditionWish) -> ConditionStep:
        """Ask for an answer from outside; see `core.ports.Controller.open_condition`."""
        return await self._conditions.open(wish)

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
        return await self._traces.open(name, identity, interface, inputs)

    def open_trace_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> TraceStep:
        """`open_trace` for a thread without a loop."""
        return self._traces.open_blocking(name, identity, interface, inputs)

    def _child(self, here: ActionContext, task: Callee, inputs: Payload) -> Action:
        options, spec = task.options, self._spec
        named = inputs.digest_without(tuple(options.cache.get_ignored_inputs()))
        group = here.group or ""
        number = self._sequences.next(here.scope, task.identity, named, group)
        action_id = child_id(here.scope, task.identity, named, group, number)
        scope = child_scope(here.scope, task.name, named, group, number)
        address = portable(task.address, spec.run.code.root)
        components = cache_components(task, inputs, spec.run)
        question = make_question(action_id, task, components, spec.run, replay=spec.replay)
        child = AttemptSpec(
            run=spec.run,
            action_id=action_id,
            parent_id=spec.action_id,
            scope=scope,
            task=task.name,
            address=address,
            attempt=1,
            inputs=inputs,
            options=options,
            group=here.group,
            custom_context=here.custom_context,
            replay=spec.replay,
            cache_key=components.key if components is not None else None,
        )
        attrs = first_row_attrs(task, address, components, here.group, here.custom_context)
        self._around.codes.tell(spec.run.name, task, attrs)
        if options.links:
            attrs |= rendered_links(task, child)
        return Action(spec=child, task=task, identity=task.identity, question=question, attrs=attrs)

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


def cache_components(task: Callee, inputs: Payload, run: RunSpec) -> CacheComponents | None:
    """What the task's cache key is made of; None when the task is not cached in this run."""
    cache = task.options.cache
    if run.disable_cache or not cache.is_enabled():
        return None
    return components_of(
        task=task.name,
        version=task.cache_version,
        interface=digest_json(task.interface.signature()),
        inputs=inputs,
        ignored=tuple(cache.get_ignored_inputs()),
    )


def make_question(
    action_id: ActionId,
    task: Callee,
    components: CacheComponents | None,
    run: RunSpec,
    *,
    replay: bool,
) -> Question | None:
    """What to ask the record before running; None when it cannot know anything."""
    key = components.key if components is not None and not run.overwrite_cache else None
    if key is None and not replay:
        return None
    cache = task.options.cache
    max_age = cache.max_age
    return Question(
        action_id=action_id,
        task=task.name,
        cache_key=key,
        serialize=cache.serialize,
        max_age_s=max_age.total_seconds() if max_age else None,
        replay=replay,
        adopt=action_id not in run.force_rerun_actions,
    )


def first_row_attrs(
    task: Callee,
    address: TaskAddress,
    components: CacheComponents | None,
    group: str | None,
    custom_context: Mapping[str, str],
) -> dict[str, Any]:
    """The facts of an action that stand on its first row only."""
    attrs: dict[str, Any] = {"short_name": task.short_name, "address": _plain(address)}
    if group:
        attrs["group"] = group
    if custom_context:
        attrs["custom_context"] = dict(custom_context)
    if components is not None:
        attrs["cache_version"] = components.version
        attrs["interface"] = components.interface
        ignored = task.options.cache.get_ignored_inputs()
        if ignored:
            attrs["ignored_inputs"] = list(ignored)
    return attrs


def _plain(address: TaskAddress) -> dict[str, str]:
    parts = {
        "name": address.name,
        "module": address.module,
        "file": address.file,
        "blob_key": address.blob_key,
    }
    return {key: value for key, value in parts.items() if value is not None}
