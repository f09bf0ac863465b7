"""What waits to be written, and who waits for it: events in order, cut into batches of fair size.

No threads and no store in here: the ledger calls every method under its lock, and ends the futures
after it has let go of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from flyte_ray.core.facts import Facts
from flyte_ray.core.model import Event
from flyte_ray.store.pacing import Pace

_ROW_BYTES = 200


class Ack:
    """One caller who waits, perhaps for events that go into several segments."""

    __slots__ = ("_missing", "future")

    def __init__(self) -> None:
        self.future: Future[None] = Future()
        # Running: a caller that stops waiting cannot cancel a write that is under way.
        self.future.set_running_or_notify_cancel()
        self._missing = 0

    def expect(self, parts: int) -> None:
        """So many segments must be stored before the caller is told."""
        self._missing = parts

    def part_stored(self) -> bool:
        """One segment is stored; True if it was the last, so that the future may end."""
        self._missing -= 1
        return self._missing == 0

    def part_failed(self) -> bool:
        """One segment will never be stored; True if the caller has not been told of another."""
        tell = self._missing > 0
        self._missing = 0
        return tell


@dataclass(slots=True)
class Entry:
    """Events that came together; `ack` is None when nobody waits for them."""

    events: Sequence[Event]
    size_bytes: int
    at_s: float
    ack: Ack | None


@dataclass(slots=True)
class Batch:
    """What goes into one slot."""

    slot: int
    events: list[Event] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)


class WriteQueue:
    """First in, first out; a batch takes whole entries until it is large enough."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._entries: deque[Entry] = deque()
        self._events = 0
        self._acks = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_full(self) -> bool:
        """True when a whole segment waits."""
        return self._events >= self._pace.most_events

    @property
    def is_awaited(self) -> bool:
        """True when somebody waits for something in here."""
        return self._acks > 0

    @property
    def oldest_s(self) -> float:
        """When the first entry came; only while there is one."""
        return self._entries[0].at_s

    def split(self, events: Sequence[Event], ack: Ack | None, now_s: float) -> list[Entry]:
        """Entries that each fit a segment. Reads nothing of the queue: needs no lock."""
        parts: list[Entry] = []
        start = size = 0
        for end, event in enumerate(events, 1):
            size += _size_bytes(event)
            full = end - start >= self._pace.most_events or size >= self._pace.most_bytes
            if full or end == len(events):
                parts.append(Entry(events[start:end], size, now_s, ack))
                start, size = end, 0
        if ack is not None:
            ack.expect(len(parts))
        return parts

    def push(self, entry: Entry) -> None:
        """Append to the end."""
        self._entries.append(entry)
        self._events += len(entry.events)
        self._acks += entry.ack is not None

    def take(self, slot: int) -> Batch:
        """The next batch, for that slot."""
        batch = Batch(slot=slot)
        size_bytes = 0
        while (
            self._entries
            and len(batch.events) < self._pace.most_events
            and size_bytes < self._pace.most_bytes
        ):
            entry = self._entries.popleft()
            batch.events.extend(entry.events)
            size_bytes += entry.size_bytes
            self._events -= len(entry.events)
            if entry.ack is not None:
                batch.acks.append(entry.ack)
                self._acks -= 1
        return batch

    def drop(self) -> list[Ack]:
        """Empty the queue; those who waited."""
        waiting = [entry.ack for entry in self._entries if entry.ack is not None]
        self._entries.clear()
        self._events = self._acks = 0
        return waiting


def _size_bytes(event: Event) -> int:
    """About how much the event adds to a segment."""
    attrs = event.attrs
    size = _ROW_BYTES
    for text in (event.inputs, event.outputs, event.error):
        if text is not None:
            size += len(text)
    if isinstance(attrs, Facts):
        return size + len(attrs.text)
    logs = attrs.get("logs")
    return size + (len(logs) if isinstance(logs, str) else 0)
