"""The owner of one run: its book, its root action, its end.

All of a run's rows pass through here, into the ledger and into the memory that answers questions.
The host drives the root; parents drive their own children and hand their rows in. No author code
runs here. In local mode the host lives in the driver's process, on Ray in a detached actor; it
cannot tell.

After a crash the next host opens the book (a higher epoch), folds its rows, and drives the root
again with `replay`: finished children answer from the book.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from flyte_ray import errors
from flyte_ray.codec.insides import Insides
from flyte_ray.core.calls import Answer, Question, RunSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.ids import ROOT_ACTION, ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind, Settled
from flyte_ray.core.ports import Blobs, CacheIndex
from flyte_ray.core.progress import Progress, Tally
from flyte_ray.engine.action import Action
from flyte_ray.engine.asking import Asker
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.flight import Flights
from flyte_ray.engine.landing import chained, landed
from flyte_ray.engine.last_rows import left_unfinished, root_aborted, run_end
from flyte_ray.engine.lookup import Lookup
from flyte_ray.engine.memory import Known, Memory
from flyte_ray.engine.publishing import Publisher
from flyte_ray.engine.successes import FirstSuccesses
from flyte_ray.engine.verdicts import aborted_error
from flyte_ray.store.cache_index import Entry
from flyte_ray.store.folding import Folding
from flyte_ray.store.ledger import BookLedger
from flyte_ray.store.mailbox import post_abort
from flyte_ray.store.pacing import pace_for
from flyte_ray.store.patience import Patience
from flyte_ray.store.values import RunValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a run starts from: its ledger, and the rows that earlier hosts left."""

    spec: RunSpec
    ledger: BookLedger
    rows: Sequence[Event] = ()
    source: Memory | None = None
    """The actions of the run that is recovered."""
    lack: errors.FlyteRayError | None = None
    """Why the run cannot go on; what its book has stands."""


class RunHost:
    """Keeps the book of one run and drives its root. Thread-safe."""

    def __init__(self, opening: Opening, *, blobs: Blobs, cache: CacheIndex) -> None:
        self.spec = opening.spec
        self._blobs = blobs
        self._ledger = opening.ledger
        inside = Insides(RunValues(blobs, opening.spec.name))
        self._folding = Folding(blobs, opening.spec.name, look_inside=inside)
        self._publisher = Publisher(cache, opening.spec.name)
        self._lock = threading.RLock()
        self._memory = Memory(opening.rows)
        self._tally = Tally(self.spec.task)
        self._began = time.monotonic()
        self._ended: float | None = None
        self._over = False
        self._successes = FirstSuccesses(self._memory)
        self._source = opening.source or Memory()
        self._lack = opening.lack
        self._end_phase: ActionPhase | None = None
        self._root: asyncio.Task[Settled] | None = None
        self._root_loop: asyncio.AbstractEventLoop | None = None
        self._abort_reason: str | None = None
        self._flights = Flights(blobs, self.spec.name, opening.ledger.epoch)
        self._lookup = Lookup(
            run=self.spec.name,
            book=self._memory,
            source=self._source,
            source_run=self.spec.source_run,
            cache=cache,
            blobs=blobs,
            flights=self._flights,
        )
        self._patience = Patience(self.spec.name, pace_for(blobs).patience_s, lambda: self._over)
        ask = self._patience.ask
        self._asker = Asker(lambda questions: ask(lambda: self._lookup.answer(questions)))
        for known in self._memory:
            self._count(known, None)

    # ---- what controllers ask (the BookKeeper port, for this run)

    def record(self, events: Sequence[Event]) -> Future[None]:
        """Take events into the book; the future ends when the store has them."""
        with self._lock:
            if self._over:
                return _done()
            fresh, firsts = self._successes.sift(events)
            stored = self._taken(fresh) if fresh else _done()
            for first in firsts:
                stored = chained(first, partial(_ends_with, stored))
            return stored

    def _taken(self, events: Sequence[Event]) -> Future[None]:
        ready, landing = self._flights.landing(events)
        stored = self._append(ready) if ready else _done()
        if landing is not None:
            late = chained(landing, self._append)
            stored = chained(stored, lambda _: late)
        self._successes.expect(events, stored)
        return stored

    def _append(self, events: Sequence[Event]) -> Future[None]:
        with self._lock:
            if self._over:
                return _done()
            future = self._ledger.append(events)
            future.add_done_callback(lambda done: self._recorded(events, done))
            return future

    def note(self, events: Sequence[Event]) -> None:
        """Take events that nobody waits for."""
        with self._lock:
            if self._over:
                return
            self._flights.landing(events)  # an aborted one gives its key up
            self._ledger.note(events)
            for event in events:
                self._apply(event)

    def look_up(self, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        """One answer, or None, per question: at once, or when the store was read."""
        if not self._lookup.is_quick(questions):
            return self._asker.ask(questions)
        future: Future[list[Answer | None]] = Future()
        try:
            future.set_result(self._lookup.answer(questions))
        except errors.StoreError:
            return self._asker.ask(questions)  # who calls cannot wait for the store
        return future

    def _recorded(self, events: Sequence[Event], done: Future[None]) -> None:
        if done.exception() is not None:
            return
        with self._lock:
            for event in events:
                self._apply(event)

    def _apply(self, event: Event) -> None:
        before = self._memory.get(event.action_id)
        after = self._memory.apply(event)
        if after is None:
            return
        self._count(after, before)
        if event.kind is EventKind.SUCCEEDED and event.cache_key and event.outputs:
            entry = Entry(
                key=event.cache_key,
                created_us=event.at_us,
                run=self.spec.name,
                action_id=event.action_id,
                task=event.task,
                outputs=event.outputs,
                overwrites=self.spec.overwrite_cache or self._lookup.replaces(event.cache_key),
            )
            self._publisher.add(entry)

    def _count(self, after: Known, before: Known | None) -> None:
        if after.is_trace:
            return
        old = before.phase if before is not None else None
        self._tally.move(after.task, old, after.phase, after.cached)
        if after.phase in (ActionPhase.FAILED, ActionPhase.TIMED_OUT):
            self._tally.fail(after.task, after.action_id, after.error_message)

    def tick(self) -> None:
        """Regular care, every few seconds: publish what other runs may reuse, fold the book."""
        self._publisher.publish()
        self._flights.sweep(self._is_left)
        self._folding.keep_up(self._ledger.stored_below)

    def _is_left(self, action_id: ActionId) -> bool:
        """True for an action that nobody drives any more: it ended, or one above it did."""
        with self._lock:
            known = self._memory.get(action_id)
            while known is not None and not known.phase.is_terminal:
                known = self._memory.get(known.parent_id) if known.parent_id else None
            return known is not None

    # ---- the root

    async def drive(self, root: Action, driver: Driver) -> Settled:
        """Run the root action to its end and close the book. Cancel it with `abort`.

        Raises:
            FencedError: another host has taken the run over; this one has stopped.
            StoreError: no row could be stored any more; the record is readable up to then.
        """
        with self._lock:
            self._root_loop = asyncio.get_running_loop()
            self._root = asyncio.ensure_future(self._driven(root, driver))
            if self._abort_reason is not None:
                self._root.cancel()
        try:
            settled = await self._root
        except asyncio.CancelledError:
            error = aborted_error(root.spec, self._why_aborted())
            settled = Settled(phase=ActionPhase.ABORTED, error=error)
        except errors.FencedError:
            raise
        except Exception as error:  # noqa: BLE001  raised where the run is waited for
            settled = Settled(phase=ActionPhase.FAILED, error=from_exception(error))
        await landed(self._close_book(settled))
        return settled

    async def _driven(self, root: Action, driver: Driver) -> Settled:
        if self._lack is not None and not self._root_has_succeeded():
            raise self._lack
        return await driver.drive(root, self._why_aborted)

    def _root_has_succeeded(self) -> bool:
        known = self._memory.get(ROOT_ACTION)
        return known is not None and known.phase.is_success

    def abort(self, reason: str) -> None:
        """End the run: its root and all below it. Returns at once; a run that ended stays so."""
        if self.stop(reason):
            # For the next host, should this one die before the bodies have stopped.
            letter = partial(post_abort, self._blobs, self.spec.name, reason)
            threading.Thread(target=letter, daemon=True).start()

    def stop(self, reason: str) -> bool:
        """`abort` by a letter; False if the root has ended, or is being stopped already."""
        with self._lock:
            if self._over or self._abort_reason is not None or self._root_has_succeeded():
                return False
            self._abort_reason = reason
            if self._root_loop is not None and self._root is not None:
                self._root_loop.call_soon_threadsafe(self._root.cancel)
        return True

    def _why_aborted(self) -> str:
        return self._abort_reason or "the run was cancelled"

    def close_aborted(self, reason: str) -> Future[None]:
        """End the book of a run whose root nobody drives."""
        self._abort_reason = reason
        aborted = errors.ActionAbortedError(f"run {self.spec.name} was aborted: {reason}")
        error = from_exception(aborted)
        self.note([root_aborted(self.spec.task, error)])
        return self._close_book(Settled(phase=ActionPhase.ABORTED, error=error))

    @property
    def epoch(self) -> int:
        """The ownership under which this host writes."""
        return self._ledger.epoch

    def attempts_of_root(self) -> int:
        """How many attempts of the root the book knows of."""
        with self._lock:
            root = self._memory.get(ROOT_ACTION)
            return root.attempt if root is not None else 0

    @property
    def is_over(self) -> bool:
        """True once the book takes no more events."""
        return self._over

    def progress(self) -> Progress:
        """Counts per task, the root's phase, the latest failures."""
        with self._lock:
            root = self._memory.get(ROOT_ACTION)
            began = root.phase if root is not None else ActionPhase.QUEUED
            phase = self._end_phase or began
            elapsed_s = (self._ended or time.monotonic()) - self._began
            seen = self._tally.snapshot(self.spec.name, phase, elapsed_s)
        waits_for = self._ledger.waits_for or self._patience.waits_for
        return dataclasses.replace(
            seen, notice=f"waits for the store: {waits_for}" if waits_for else ""
        )

    def _close_book(self, settled: Settled) -> Future[None]:
        """The last rows: whatever the root left unfinished is aborted, and the run ends."""
        with self._lock:
            self._ended = time.monotonic()
            rows = left_unfinished(self._memory, self._abort_reason or "the run's root ended")
            root = self._memory.get(ROOT_ACTION)
            rows.append(run_end(self.spec.task, settled, root, self._counts()))
            future = self._ledger.append(rows)
            if future.done() and future.exception() is not None:
                return future  # a ledger that has failed: what still comes is to hear of it
            for row in rows:
                self._apply(row)
            self._over = True
        closed: Future[None] = Future()
        future.add_done_callback(lambda done: self._closed(settled, done, closed))
        return closed

    def _closed(self, settled: Settled, done: Future[None], closed: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            closed.set_exception(error)
            return
        # Off the ledger's thread: publishing and closing wait for writes of their own.
        threading.Thread(target=self._seal, args=(settled, closed), daemon=True).start()

    def _seal(self, settled: Settled, closed: Future[None]) -> None:
        try:
            self._flights.close()
            self._publisher.publish_or_tell()
            self._ledger.finish(settled.phase.value, self._counts())
            self._ledger.close()
            self._folding.finish(sum(1 for _ in self._memory))
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the end
            closed.set_exception(error)
            return
        self._let_go(settled.phase)
        closed.set_result(None)

    def _let_go(self, phase: ActionPhase) -> None:
        """The run has ended: whoever still asks for it wants its counts, not its actions."""
        with self._lock:
            self._end_phase = phase
            self._memory.clear()
            self._source.clear()

    def _counts(self) -> dict[str, int]:
        totals = self._tally.snapshot(self.spec.name, ActionPhase.QUEUED, 0.0).totals
        return dataclasses.asdict(totals)


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def _ends_with(own: Future[None], _: None) -> Future[None]:
    return own
