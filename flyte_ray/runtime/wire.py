"""What crosses processes, as bytes: attempts and outcomes. Rows and questions: `wire_book`.

Ray would pickle our values with cloudpickle, whose Python-level hooks cost more than a task does
(0.3 ms for one attempt). Plain pickle of tuples costs a tenth. What is the same for every call of a
run, or of a task, is pickled once and recognised again by its bytes.

Both ends run the same release (a host's name holds it), so nothing here is ever stored.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cloudpickle

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import AttemptSpec, RunSpec
from flyte_ray.core.model import Outcome, OutcomeKind, Place
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.runtime.doors import DoorAddress

T = TypeVar("T")
REMEMBERED = 256

# `OutcomeKind(text)` asks a metaclass, at four times the cost of a dict.
_OUTCOMES = {kind.value: kind for kind in OutcomeKind}

AttemptBytes = tuple[bytes, bytes, bytes]
"""The run, the options, and what is the attempt's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a Ray task of ours is asked for: one attempt, or to come and work off several."""

    attempt: AttemptBytes | None = None
    """The one attempt."""
    visit: tuple[DoorAddress, int] | None = None
    """Where to knock for attempts, and the number to say there."""


def by_value(value: Any) -> bytes:
    """A pickle that takes along what another process could not import."""
    data: bytes = cloudpickle.dumps(value)
    return data


class Pickled:
    """Pickles each object once, as long as it is the same object."""

    def __init__(self, dumps: Callable[[Any], bytes] = pickle.dumps) -> None:
        self._dumps = dumps
        self._known: dict[int, tuple[Any, bytes]] = {}

    def of(self, value: Any) -> bytes:
        """The object's pickle. The object is kept, so that its id stays its own."""
        known = self._known.get(id(value))
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[id(value)] = (value, self._dumps(value))
        return known[1]


class Unpickled:
    """Unpickles equal bytes once. The values are shared: they must be immutable."""

    def __init__(self) -> None:
        self._known: dict[bytes, Any] = {}

    def of(self, data: bytes) -> Any:
        """The object."""
        known = self._known.get(data)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[data] = pickle.loads(data)
        return known


class AttemptPacker:
    """Turns attempts into bytes, for one executor.

    Options may hold an author's objects (`plugin_config`), so they are pickled by `dumps_options`.
    """

    def __init__(self, dumps_options: Callable[[Any], bytes]) -> None:
        self._runs = Pickled()
        self._options = Pickled(dumps_options)

    def pack(self, spec: AttemptSpec) -> AttemptBytes:
        """The attempt for `AttemptUnpacker.unpack`."""
        own = (
            spec.action_id,
            spec.parent_id,
            spec.scope,
            spec.task,
            _address_row(spec.address),
            spec.attempt,
            _payload_rows(spec.inputs),
            spec.group,
            dict(spec.custom_context),
            spec.replay,
            spec.queued_us,
            spec.cache_key,
        )
        return self._runs.of(spec.run), self._options.of(spec.options), pickle.dumps(own)


class AttemptUnpacker:
    """The inverse, for one worker process."""

    def __init__(self) -> None:
        self._shared = Unpickled()

    def run(self, data: AttemptBytes) -> RunSpec:
        """The run alone: it says which code must be importable before the rest is read."""
        run: RunSpec = self._shared.of(data[0])
        return run

    def unpack(self, data: AttemptBytes) -> AttemptSpec:
        """The attempt."""
        options: TaskOptions = self._shared.of(data[1])
        (
            action_id,
            parent_id,
            scope,
            task,
            address,
            attempt,
            inputs,
            group,
            custom_context,
            replay,
            queued_us,
            cache_key,
        ) = pickle.loads(data[2])
        return AttemptSpec(
            run=self.run(data),
            options=options,
            action_id=action_id,
            parent_id=parent_id,
            scope=scope,
            task=task,
            address=_address_of(address),
            attempt=attempt,
            inputs=_payload_of(inputs),
            group=group,
            custom_context=custom_context,
            replay=replay,
            queued_us=queued_us,
            cache_key=cache_key,
        )


def pack_outcome(outcome: Outcome) -> bytes:
    """An outcome for its way home."""
    place = outcome.place
    return pickle.dumps(
        (
            outcome.kind.value,
            None if outcome.outputs is None else _payload_rows(outcome.outputs),
            outcome.error,
            outcome.started_us,
            outcome.ended_us,
            (place.node, place.worker, place.pid),
            outcome.logs,
            outcome.logs_key,
        )
    )


def unpack_outcome(data: bytes) -> Outcome:
    """The inverse."""
    kind, outputs, error, started_us, ended_us, place, logs, logs_key = pickle.loads(data)
    node, worker, pid = place
    return Outcome(
        kind=_OUTCOMES[kind],
        outputs=None if outputs is None else _payload_of(outputs),
        error=error,
        started_us=started_us,
        ended_us=ended_us,
        place=Place(node=node, worker=worker, pid=pid),
        logs=logs,
        logs_key=logs_key,
    )


def _address_row(address: TaskAddress) -> tuple[str | None, ...]:
    return address.name, address.module, address.file, address.blob_key


def _address_of(row: tuple[Any, ...]) -> TaskAddress:
    name, module, file, blob_key = row
    return TaskAddress(name=name, module=module, file=file, blob_key=blob_key)


def _payload_rows(payload: Payload) -> list[tuple[Any, ...]]:
    return [
        (
            name,
            value.codec,
            value.type,
            value.digest,
            value.size_bytes,
            value.inline,
            value.key,
            value.elements,
            value.stable,
            value.passed,
            value.code,
        )
        for name, value in payload.values.items()
    ]


def _payload_of(rows: Sequence[tuple[Any, ...]]) -> Payload:
    return Payload(
        values={
            name: EncodedValue(
                codec=codec,
                type=type_,
                digest=digest,
                size_bytes=size_bytes,
                inline=inline,
                key=key,
                elements=elements,
                stable=stable,
                passed=passed,
                code=code,
            )
            for (
                name,
                codec,
                type_,
                digest,
                size_bytes,
                inline,
                key,
                elements,
                stable,
                passed,
                code,
            ) in rows
        }
    )
