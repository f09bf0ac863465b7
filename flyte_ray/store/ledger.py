"""The book of one run as its one writer sees it: append, and be told when it is stored.

The rule: *an acknowledgement waits for its segment.* Events are grouped while a write is in flight
and written at once when none is (`pacing`), each segment is acknowledged on its own, and a slot is
never given to other bytes once it was tried.

Whoever finds a slot taken looks who wrote it: a higher epoch or anything but a fence means that
another process owns the run (every pending future ends with `FencedError`); the fence of a lower
epoch is a stale opener's, the batch goes into the next slot. A store that is away is waited for,
visibly, for `Pace.patience_s`, at the takeover, by each segment and by the record's last file; then
every pending future ends with `StoreError` and the book is closed for good. In both cases what was
acknowledged is stored, what was not may or may not be.

Futures end on the writer's thread: a callback must not block there. The threads are daemons; a
process that ends without `close` loses only what was never acknowledged.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import Event, EventKind, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import FencedError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.hedge import put_new_hedged
from flyte_ray.store.ownership import FIRST_EPOCH, claim_first, fenced, take_over
from flyte_ray.store.pacing import LeavesUnderWay, Pace, SlotWindow, pace_for
from flyte_ray.store.patience import Patience, PatientBlobs
from flyte_ray.store.run_file import name_taken, read_run, write_run
from flyte_ray.store.segments import decode_segment, encode
from flyte_ray.store.write_queue import Ack, Batch, WriteQueue

logger = logging.getLogger(__name__)


def create_book(blobs: Blobs, spec: RunSpec, owner: str, *, pace: Pace | None = None) -> BookLedger:
    """Create the run in the store and own its book. `owner`: who, for people.

    Raises:
        RunExistsError: the name is taken.
        StoreError: the store cannot be written.
    """
    write_run(blobs, spec)
    if not claim_first(blobs, spec.name, owner):
        raise name_taken(blobs, spec.name)
    return BookLedger(blobs, spec.name, FIRST_EPOCH, 0, pace=pace)


def open_book(
    blobs: Blobs, run: str, owner: str, *, pace: Pace | None = None
) -> tuple[BookLedger, list[Event]]:
    """Take over an existing run: its book, and everything that stands in it.

    An earlier owner that still lives is fenced. Ask for the heartbeat first (`run_file`). A store
    that is away is waited for, as the book itself does.

    Raises:
        RunNotFoundError: there is no such run.
        FencedError: another process took over at the same time.
        StoreError: the store stays away, or the book is damaged.
    """
    patience = Patience(run, (pace or pace_for(blobs)).patience_s)
    patient = PatientBlobs(blobs, patience)
    name = read_run(patient, run).name
    found = take_over(patient, name, owner, is_there=lambda: read_run(patient, run))
    return BookLedger(blobs, name, found.epoch, found.next_slot, pace=pace), found.events


class BookLedger:
    """`Ledger` on a store. Made by `create_book` and `open_book`; thread-safe."""

    def __init__(
        self, blobs: Blobs, run: RunName, epoch: int, first_slot: int, *, pace: Pace | None
    ) -> None:
        self._blobs = blobs
        self._run = run
        self._epoch = epoch
        self._pace = pace or pace_for(blobs)
        self._changed = threading.Condition()
        # Below: under `_changed`.
        self._window = SlotWindow(first_slot, self._pace.window)
        self._queue = WriteQueue(self._pace)
        self._in_flight = 0
        self._last_issue_s = float("-inf")
        self._leaves = LeavesUnderWay()
        self._is_closing = False
        self._has_end = False
        self._failure: BaseException | None = None
        self._patience = Patience(run, self._pace.patience_s, lambda: self._failure is not None)
        self._writers = [
            threading.Thread(target=self._serve, name=f"flyte-ray-book-{run}", daemon=True)
            for _ in range(self._pace.window)
        ]
        for writer in self._writers:
            writer.start()

    @property
    def run(self) -> RunName:
        """The run whose book this is."""
        return self._run

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def waits_for(self) -> str:
        """Why the store takes nothing at the moment; empty while it does."""
        return self._patience.waits_for

    @property
    def stored_below(self) -> int:
        """Every slot of the book below this one is stored, so it may be folded."""
        with self._changed:
            return self._window.stored_below

    def append(self, events: Sequence[Event]) -> Future[None]:
        ack = Ack()
        if not events:
            ack.future.set_result(None)
        elif (refusal := self._enqueue(events, ack)) is not None:
            ack.future.set_exception(refusal)
        return ack.future

    def note(self, events: Sequence[Event]) -> None:
        self._enqueue(events, None)

    def close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for writer in self._writers:
            if writer is not threading.current_thread():
                writer.join()

    def finish(self, status: str, counts: Mapping[str, int]) -> None:
        """End the run's record: its last row, then `final/<epoch>.json`; and close. Idempotent.

        The last row is written here unless the caller appended one of kind `run_end` before. It
        proves that the book is still ours; nobody who was fenced gets past it.

        Raises:
            FencedError: another process owns the run; nothing of ours counts.
            StoreError: the store stays away; the record up to here is readable.
        """
        at_us = utc_now_us()
        attrs = {"status": status, "counts": dict(counts)}
        if not self._has_end and not self._is_closing:
            end = Event(kind=EventKind.RUN_END, at_us=at_us, action_id=ROOT_ACTION, attrs=attrs)
            self.append([end]).result()
        self.close()
        if self._failure is not None:
            raise self._failure
        final = {"epoch": self._epoch, "ended_us": at_us, **attrs}
        key, data = layout.final(self._run, self._epoch), json.dumps(final).encode()
        self._patience.ask(lambda: self._blobs.put_new(key, data))

    def _enqueue(self, events: Sequence[Event], ack: Ack | None) -> BaseException | None:
        """Queue the events; what the caller must be told if that is impossible."""
        if not events:
            return None
        parts = self._queue.split(events, ack, time.monotonic())
        with self._changed:
            if self._failure is not None:
                return self._failure
            if self._is_closing:
                return StoreError(f"the book of run {self._run!r} is closed; open it again first")
            had_any, had_awaited = bool(self._queue), self._queue.is_awaited
            for part in parts:
                self._queue.push(part)
            self._leaves.see(events)
            self._has_end = self._has_end or events[-1].kind is EventKind.RUN_END
            # Else a writer is at it already: waking it for every event would cost more than it.
            if not had_any or not had_awaited or self._queue.is_full:
                self._changed.notify_all()
        return None

    def _serve(self) -> None:
        """The life of one writer thread."""
        batch: Batch | None = None
        try:
            while (batch := self._next_batch()) is not None:
                self._write(batch)
        except BaseException as error:  # noqa: BLE001 - handed to everyone who waits
            self._give_up(error, batch)

    def _next_batch(self) -> Batch | None:
        """Wait until a segment is due and take its slot; None when there will be none."""
        with self._changed:
            while True:
                if self._failure is not None or (self._is_closing and not self._queue):
                    return None
                wait_s = self._wait_s(time.monotonic())
                if wait_s == 0:
                    return self._take()
                self._changed.wait(wait_s)

    def _wait_s(self, now: float) -> float | None:
        """How long until a segment is due; None: until something changes."""
        if not self._queue or not self._window.is_open:
            return None
        if self._is_closing or self._queue.is_full:
            return 0
        if not self._queue.is_awaited:
            return max(0, self._queue.oldest_s + self._pace.note_s - now)
        others = max(0, self._leaves.count - 1)
        gap_s = min(others * self._pace.gap_per_leaf_s, self._pace.longest_gap_s)
        if self._in_flight:
            gap_s = max(gap_s, self._pace.gap_s)
        return max(0, self._last_issue_s + gap_s - now)

    def _take(self) -> Batch:
        batch = self._queue.take(self._window.take())
        self._in_flight += 1
        self._last_issue_s = time.monotonic()
        if self._queue:
            self._changed.notify_all()
        return batch

    def _write(self, batch: Batch) -> None:
        while not self._store(batch):
            self._make_way(batch)
        with self._changed:
            self._window.settle(batch.slot)
            self._in_flight -= 1
            complete = [ack for ack in batch.acks if ack.part_stored()]
            self._changed.notify_all()
        for ack in complete:
            ack.future.set_result(None)

    def _store(self, batch: Batch) -> bool:
        """`put_new` of the segment, repeated with the same bytes while the store is away."""
        key = layout.segment(self._run, batch.slot)
        data = encode(batch.events, batch.slot, self._epoch)
        return self._patience.ask(
            lambda: put_new_hedged(self._blobs, key, data, self._pace.hedge_s)
        )

    def _make_way(self, batch: Batch) -> None:
        """The slot holds foreign bytes: step over a stale fence, or learn that we are fenced."""
        key = layout.segment(self._run, batch.slot)
        found = decode_segment(self._patience.ask(lambda: self._blobs.get(key)))
        if found.epoch > self._epoch or not found.is_fence:
            raise fenced(self._run, self._epoch)
        with self._changed:
            self._window.settle(batch.slot)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._window.is_open or self._failure is not None)
            if self._failure is not None:
                raise self._failure
            batch.slot = self._window.take()

    def _give_up(self, error: BaseException, batch: Batch | None) -> None:
        """Nothing can be written any more: tell everyone who waits."""
        if not isinstance(error, FencedError | StoreError):
            logger.error("the book of run %s cannot go on", self._run, exc_info=error)
            cause = error
            error = StoreError(f"the book of run {self._run!r} cannot be written: {cause!r}")
            error.__cause__ = cause
        with self._changed:
            self._failure = self._failure or error
            waiting = self._queue.drop() + (batch.acks if batch else [])
            untold = [ack for ack in waiting if ack.part_failed()]
            self._changed.notify_all()
        for ack in untold:
            ack.future.set_exception(error)
