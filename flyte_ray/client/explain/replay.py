"""One attempt again, in this process: its own code, its exact inputs, its recorded surroundings.

Calls and traced steps that the record knows are answered from it, failures included, so that the
body sees what it saw; what it does not know runs in place, as plain Python. Nothing is written to
the store: what the body writes stays in memory and in a temporary folder.

A call that the record leaves open (cancelled by its parent, or cut off with the run) gives no
answer while the body may go on without it, as it did then: of a `gather` the call that failed is
seen, not one that was cancelled for it.

Not repeated: the machine, its packages, time and chance (but what `durable` or `trace` recorded).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from flyte_ray.client.explain.overlay import OverlayBlobs
from flyte_ray.client.explain.recording import RecordedCall, Recording
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import Call, CodeSpec
from flyte_ray.core.context import ActionContext, entered
from flyte_ray.core.failure import ErrorInfo, from_exception, to_exception
from flyte_ray.core.ids import ActionId, Scope
from flyte_ray.core.interface import Interface
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.attempt import named_outputs, returned, types_of
from flyte_ray.engine.environ import applied
from flyte_ray.engine.loading import Loader
from flyte_ray.errors import ModuleLoadError, UnsupportedValueError
from flyte_ray.store.values import RunValues

CODE_CHOICES = ("recorded", "current")
PATIENCE_S = 5.0
"""So long a body may go on without a call that the record leaves open; then it is told its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What the body came to this time."""

    value: Any
    """What it returned; None where it raised."""
    exception: BaseException | None
    agrees: bool
    """As in the record: equal outputs, or an error of the same type and message."""
    answered: int
    """Calls that the record answered."""
    in_place: int
    """Calls that it did not know, and that ran here."""


def replay(
    found: Recording, blobs: Blobs, *, code: str = "recorded", patience_s: float = PATIENCE_S
) -> Replayed:
    """Run an attempt again.

    Args:
        found: what the record holds of it.
        blobs: where its code and values lie; nothing is written there.
        code: "recorded" (the run's own) or "current" (what can be imported here).
        patience_s: for how long calls that the record leaves open give no answer.

    Raises:
        ModuleLoadError: the code cannot be loaded.
        StoreError: a value is gone.
    """
    overlay = OverlayBlobs(blobs)
    with tempfile.TemporaryDirectory(prefix="flyte-ray-replay-") as folder:
        run = replace(found.run, raw_data_path=folder)
        found = replace(found, run=run)
        values = RunValues(overlay, run.name, raw_data_path=folder)
        task = load(found, overlay, code)
        controller = _RecordedCalls(found.calls, values, patience_s)
        with _inside(found, controller, overlay):
            return _carried_out(found, task, controller, values)


def load(found: Recording, blobs: Blobs, code: str = "recorded") -> Callee:
    """The task of a recording. Raises `ModuleLoadError`."""
    own = replace(found.run.code, root="", host="", cwd="")
    if code == "current":
        own = CodeSpec()
    elif own.bundle_key is None and found.address.blob_key is None:
        raise ModuleLoadError(
            f"run {found.run.name} shipped no code (copy_style='none'): replay it with the code "
            "that you have (--code current)"
        )
    address: TaskAddress = found.address
    return Loader(blobs).load(address, own)


def _carried_out(
    found: Recording, task: Callee, controller: _RecordedCalls, values: RunValues
) -> Replayed:
    codecs = controller.codecs
    arguments = codecs.decode(Payload.from_json(found.inputs), types_of(task.interface), values)
    value: Any = None
    raised: BaseException | None = None
    try:
        with applied({**task.options.env_vars, **found.run.env_vars}):
            value = task.interface.call(task.func, arguments)
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001  the body's end
        raised = error
    agrees = (
        _same_error(found, raised)
        if raised is not None
        else _same_value(found, task, value, codecs, values)
    )
    return Replayed(
        value=value,
        exception=raised,
        agrees=agrees,
        answered=controller.answered,
        in_place=controller.in_place,
    )


async def _awaited(value: Any) -> Any:
    return await value


def _same_error(found: Recording, raised: BaseException) -> bool:
    before, now = found.failure, from_exception(raised)
    return before is not None and (before.code, before.message) == (now.code, now.message)


def _same_value(
    found: Recording, task: Callee, value: Any, codecs: PayloadCodec, values: RunValues
) -> bool:
    if found.outputs is None:
        return False
    try:
        named = named_outputs(value, task.interface)
        outputs = codecs.encode(
            named, task.interface.outputs, values, f"task {task.name!r}", are_inputs=False
        )
    except TypeError:
        return False
    return outputs.digest == Payload.from_json(found.outputs).digest


@contextmanager
def _inside(found: Recording, controller: _RecordedCalls, blobs: Blobs) -> Iterator[None]:
    context = ActionContext(
        controller=controller,
        run=found.run,
        action_id=ActionId(found.action_id),
        parent_id=None if found.parent_id is None else ActionId(found.parent_id),
        scope=Scope(found.scope),
        scope_id=ActionId(found.action_id),
        task=found.task,
        attempt=found.attempt,
        mode="local",
        custom_context=found.custom_context,
        store=blobs,
    )
    with entered(context):
        yield


class _RecordedCalls:
    """The `Controller` port, over what the record knows. Equal calls are answered in order."""

    def __init__(
        self, calls: tuple[RecordedCall, ...], values: RunValues, patience_s: float
    ) -> None:
        self._patience_s = patience_s
        self.codecs = PayloadCodec()
        self.answered = 0
        self.in_place = 0
        self._values = values
        self._known: dict[tuple[str, str], deque[RecordedCall]] = defaultdict(deque)
        self._conditions: dict[str, deque[RecordedCall]] = defaultdict(deque)
        for each in calls:
            if each.kind == "condition":
                self._conditions[each.task].append(each)
                continue
            key = (each.task, Payload.from_json(each.inputs).digest)
            self._known[key].append(each)

    def find(
        self, name: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> RecordedCall | None:
        """The record's next call of that name with these inputs."""
        owner = f"task {name!r}, input"
        payload = self.codecs.encode(inputs, types_of(interface), self._values, owner)
        waiting = self._known.get((name, payload.digest))
        if waiting:
            self.answered += 1
            return waiting.popleft()
        self.in_place += 1
        return None

    def result(self, known: RecordedCall, interface: Interface) -> Any:
        """What it returned; raises what it raised."""
        if known.outputs is not None:
            payload = Payload.from_json(known.outputs)
            return returned(self.codecs.decode(payload, interface.outputs, self._values), interface)
        if known.error is not None:
            raise to_exception(ErrorInfo.from_dict(json.loads(known.error)))
        raise asyncio.CancelledError(f"{known.task} had no result yet when the run ended")

    async def answer(self, known: RecordedCall, interface: Interface) -> Any:
        """`result`, not before the body could go on without it where the record leaves it open."""
        if known.is_open:
            await asyncio.sleep(self._patience_s)  # cancelled, as it was then
        return self.result(known, interface)

    async def submit(self, call: Call) -> Any:
        known = self.find(call.task.name, call.task.interface, call.inputs)
        if known is not None:
            return await self.answer(known, call.task.interface)
        made = call.task.interface.call(call.task.func, call.inputs)
        return await made if inspect.isawaitable(made) else made

    def submit_blocking(self, call: Call) -> Any:
        known = self.find(call.task.name, call.task.interface, call.inputs)
        if known is not None:
            return self.result(known, call.task.interface)
        return call.task.interface.call(call.task.func, call.inputs)

    async def open_trace(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> _RecordedTrace:
        return self.open_trace_blocking(name, identity, interface, inputs)

    def open_trace_blocking(
        self, name: str, identity: str, interface: Interface, inputs: Mapping[str, Any]
    ) -> _RecordedTrace:
        return _RecordedTrace(self, self.find(name, interface, inputs), interface)

    async def open_condition(self, wish: Any) -> _RecordedAnswer:
        waiting = self._conditions.get(wish.name)
        if not waiting:
            raise UnsupportedValueError(
                f"the record has no answer to {wish.name!r}: nobody can be asked in a replay"
            )
        self.answered += 1
        return _RecordedAnswer(self, waiting.popleft(), wish.data_type)


class _RecordedAnswer:
    """What somebody answered then."""

    is_new = False

    def __init__(self, calls: _RecordedCalls, known: RecordedCall, kind: type) -> None:
        self._calls = calls
        self._known = known
        self._interface = Interface(outputs={"o0": kind}, returns=kind)

    async def wait(self) -> Any:
        return await self._calls.answer(self._known, self._interface)


class _RecordedTrace:
    """The `Trace` port: a recorded step, or one that runs here and is not kept."""

    def __init__(
        self, calls: _RecordedCalls, known: RecordedCall | None, interface: Interface
    ) -> None:
        self._calls = calls
        self._known = known
        self._interface = interface

    @property
    def found(self) -> bool:
        return self._known is not None

    def result(self) -> Any:
        assert self._known is not None, "asked only where `found`"
        return self._calls.result(self._known, self._interface)

    def context(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def succeed(self, value: Any) -> Any:
        return value

    async def fail(self, error: BaseException) -> None:
        pass

    def succeed_blocking(self, value: Any) -> Any:
        return value

    def fail_blocking(self, error: BaseException) -> None:
        pass
