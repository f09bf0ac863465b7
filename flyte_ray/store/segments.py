"""One segment of a book: events as one immutable Parquet file, and back.

Every row of a segment carries the same slot (its number in the book) and epoch (its owner). Rows of
a kind that this release does not know are passed over, phases it does not know become None; so an
older reader gets through a newer book.

Fences are segments of one row, of kind `epoch` or `fence`: they only take a slot away from an
earlier owner (see `ownership`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from flyte_ray.core.facts import Facts, text_of_facts
from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.store.schemas import LOG, LOG_VERSION
from flyte_ray.store.tables import lists, read_table, to_parquet

FENCES = frozenset({EventKind.EPOCH, EventKind.FENCE})

_KINDS = {kind.value: kind for kind in EventKind}
_PHASES = {phase.value: phase for phase in ActionPhase}
_SUCCEEDED = EventKind.SUCCEEDED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment as read."""

    slot: int
    epoch: int
    events: tuple[Event, ...]

    @property
    def is_fence(self) -> bool:
        """True when nothing but the slot itself was taken."""
        return bool(self.events) and all(event.kind in FENCES for event in self.events)


def encode(events: Sequence[Event], slot: int, epoch: int) -> bytes:
    """The bytes of a segment; the same ones for the same arguments."""
    count = len(events)
    columns: dict[str, Sequence[Any]] = {
        "slot": [slot] * count,
        "epoch": [epoch] * count,
        "kind": [event.kind.value for event in events],
        "happened_at": [event.at_us for event in events],
        "action_id": [event.action_id or None for event in events],
        "parent_id": [event.parent_id for event in events],
        "attempt": [event.attempt for event in events],
        "task": [event.task for event in events],
        "status": [event.phase and event.phase.value for event in events],
        "cache_key": [event.cache_key for event in events],
        "inputs": [event.inputs for event in events],
        "outputs": [event.outputs for event in events],
        "error": [event.error for event in events],
        "attrs": [_attrs_text(event) for event in events],
    }
    return to_parquet(columns, LOG, LOG_VERSION)


def decode(data: bytes) -> list[Event]:
    """The events of a segment, in order. Raises `StoreError` for anything but a whole segment."""
    return list(decode_segment(data).events)


def decode_segment(data: bytes) -> Segment:
    """The segment with its slot and epoch. Raises `StoreError` as `decode` does."""
    found = segments_of(read_table(data, LOG_VERSION).table)
    return found[-1] if found else Segment(slot=-1, epoch=0, events=())


def segments_of(table: pa.Table) -> list[Segment]:
    """The segments whose rows a table holds, in its order; the rows of one lie together."""
    columns = lists(table, LOG)
    rows = list(zip(*(columns[name] for name in _EVENT_COLUMNS), strict=True))
    epochs = columns["epoch"]
    found: list[Segment] = []
    start = 0
    for slot, group in groupby(columns["slot"]):
        end = start + sum(1 for _ in group)
        found.append(
            Segment(
                slot=-1 if slot is None else slot,
                epoch=max((epoch for epoch in epochs[start:end] if epoch is not None), default=0),
                events=tuple(_event(row) for row in rows[start:end] if row[0] in _KINDS),
            )
        )
        start = end
    return found


_EVENT_COLUMNS = (
    "kind",
    "happened_at",
    "action_id",
    "parent_id",
    "attempt",
    "task",
    "status",
    "cache_key",
    "inputs",
    "outputs",
    "error",
    "attrs",
)


def _event(row: tuple[Any, ...]) -> Event:
    kind, at_us, action, parent, attempt, task, status, key, inputs, outputs, error, attrs = row
    facts: Mapping[str, Any] = Facts(attrs) if attrs else {}
    return Event(
        kind=_KINDS[kind],
        at_us=at_us or 0,
        action_id=ActionId(action or ""),
        parent_id=None if parent is None else ActionId(parent),
        attempt=attempt or 0,
        task=task or "",
        phase=_PHASES.get(status),
        cache_key=key,
        inputs=inputs,
        outputs=outputs,
        error=error,
        attrs=facts,
        queued_us=_queued_us(facts) if kind == _SUCCEEDED else 0,
    )


def _queued_us(facts: Mapping[str, Any]) -> int:
    found = facts.get("queued_us")
    return found if isinstance(found, int) else 0


def _attrs_text(event: Event) -> str | None:
    return text_of_facts(event.attrs) if event.attrs else None
