"""Single flight: of all calls of one cache key, in this run and any other, one computes.

The host of a run claims keys for its actions (`store/leases`), tells those who must wait that the
key is held (they ask again: nobody blocks here), and puts the result of a holder before the row of
its success goes into the book. A holder that was taken for dead meanwhile gets the result of who
took over instead of its own: one value for all.

What ends without a result gives its key up: a failed or aborted action with its row, an action
whose parent ended after two rounds of care, all others with the run. What stands in the book of the
action itself says nothing: it may be of an earlier attempt of its parent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import Event, EventKind, utc_now_us
from flyte_ray.core.payload import EMPTY, Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store.leases import Claim, Held, Leases, Result
from flyte_ray.store.liveness import Liveness, WatchPace, watch_pace
from flyte_ray.store.pacing import pace_for
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.patience import Patience, PatientBlobs
from flyte_ray.store.run_file import write_heartbeat

logger = logging.getLogger(__name__)

Accepts = Callable[[Question, Result], bool]
_GIVEN_UP = frozenset({EventKind.FAILED, EventKind.ABORTED, EventKind.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class _Look:
    """When a key was last looked for in the store, and who had it."""

    at_s: float
    holder: Claim


class Flights:
    """The claims of one run's host. Thread-safe."""

    def __init__(
        self, blobs: Blobs, run: RunName, epoch: int, *, pace: WatchPace | None = None
    ) -> None:
        self._blobs = blobs
        self._run = run
        self._epoch = epoch
        self._pace = pace or watch_pace(blobs)
        patience = Patience(run, pace_for(blobs).patience_s, lambda: self._is_closed)
        liveness = Liveness(blobs, self._pace)
        self._leases = Leases(blobs, run, epoch, liveness)
        self._landing = Leases(PatientBlobs(blobs, patience), run, epoch, liveness)
        """For results: they waited for a body, and wait for the store as the book does."""
        self._lock = threading.Lock()
        # Below: under the lock.
        self._mine: dict[str, Claim] = {}
        self._parents: dict[str, ActionId] = {}
        """Who asked, by key."""
        self._left: set[str] = set()
        """Keys whose parents had ended when care was last taken."""
        self._asking: set[str] = set()
        self._looks: dict[str, _Look] = {}
        self._is_closed = False
        self._is_beating = False

    # ---- asking

    def ask(self, questions: Sequence[Question], accepts: Accepts) -> list[Answer | None]:
        """Per question: None (it is yours: compute), a result, or "held" (ask again)."""
        return in_parallel(self._blobs, lambda each: self._ask(each, accepts), questions)

    def _ask(self, question: Question, accepts: Accepts) -> Answer | None:
        key = question.cache_key
        assert key is not None, "only cached calls are serialized"
        with self._lock:
            mine, look = self._mine.get(key), self._looks.get(key)
            if mine is not None:
                return None if mine.action_id == question.action_id else self._held(mine)
            if key in self._asking:
                return self._held(look.holder if look else None)
            if look is not None and time.monotonic() - look.at_s < self._pace.poll_s:
                return self._held(look.holder)
            self._asking.add(key)
        try:
            found = self._leases.claim(
                key, question.action_id, lambda result: accepts(question, result)
            )
        except BaseException:
            with self._lock:
                self._asking.discard(key)
            raise
        return self._told(key, question, found)

    def _told(self, key: str, question: Question, found: Claim | Result | Held) -> Answer | None:
        with self._lock:
            # In one step: a claim that nobody knows of would count as lost.
            self._asking.discard(key)
            match found:
                case Claim():
                    self._looks.pop(key, None)
                    self._mine[key] = found
                    if question.parent_id is not None:
                        self._parents[key] = question.parent_id
                    self._begin_to_beat()
                    return None
                case Held(holder=holder):
                    self._looks[key] = _Look(time.monotonic(), holder)
                    return self._held(holder)
                case Result():
                    self._looks.pop(key, None)
                    return _answer(found)

    def _held(self, holder: Claim | None) -> Answer:
        return Answer(
            outputs=EMPTY,
            source="held",
            source_run=RunName(holder.run if holder else ""),
            source_action=ActionId(holder.action_id if holder else ""),
            ask_again_s=self._pace.poll_s,
        )

    # ---- showing life while others wait

    def _begin_to_beat(self) -> None:
        """Under the lock.

        From a thread of its own: the loop that cares for the run may be the one on which, in local
        mode, an author's code computes for minutes.
        """
        if not self._is_beating:
            self._is_beating = True
            self._in_background(self._beat)

    def _beat(self) -> None:
        while True:
            with self._lock:
                if self._is_closed or not self._mine:
                    self._is_beating = False
                    return
            try:
                write_heartbeat(self._blobs, self._run, self._epoch, time.monotonic_ns())
            except (StoreError, OSError) as error:
                logger.warning("run %s cannot show that it lives: %s", self._run, error)
            time.sleep(self._pace.beat_s)

    # ---- ending

    def landing(
        self, events: Sequence[Event]
    ) -> tuple[Sequence[Event], Future[list[Event]] | None]:
        """The rows that may go into the book at once, and those that may once they are put.

        None where no row ends a flight: then there is nothing to wait for.
        """
        with self._lock:
            if not self._mine:
                return events, None
            claims = [self._claim_of(event) for event in events]
        ends = list(zip(events, claims, strict=True))
        given_up = [claim for event, claim in ends if claim and event.kind in _GIVEN_UP]
        if given_up:
            self._in_background(lambda: self._release(given_up))
        lands = [event for event, claim in ends if claim and event.kind is EventKind.SUCCEEDED]
        if not lands:
            return events, None
        others = [e for e, claim in ends if not claim or e.kind is not EventKind.SUCCEEDED]
        return others, self._landed(lands)

    def _landed(self, events: Sequence[Event]) -> Future[list[Event]]:
        future: Future[list[Event]] = Future()

        def land() -> None:
            try:
                future.set_result([self._land(event) for event in events])
            except BaseException as error:  # noqa: BLE001  handed to whoever waits for the rows
                future.set_exception(error)

        self._in_background(land)
        return future

    def _claim_of(self, event: Event) -> Claim | None:
        claim = self._mine.get(event.cache_key or "")
        return claim if claim is not None and claim.action_id == event.action_id else None

    def _land(self, event: Event) -> Event:
        """The success with the outputs that count: its own, or those of who took over."""
        if event.kind is not EventKind.SUCCEEDED or event.outputs is None:
            return event
        with self._lock:
            claim = self._claim_of(event)
        while claim is not None and not self._is_closed:
            if self._landing.finish(claim, event.outputs, utc_now_us()):
                break
            found = self._landing.claim(claim.key, claim.action_id, lambda _: True)
            if isinstance(found, Result):
                logger.warning("the result of %s came too late: another one counts", claim)
                event = _superseded(event, found)
                break
            if isinstance(found, Claim):
                claim = found  # whoever took over has gone, too
            else:
                time.sleep(self._pace.poll_s)
        if claim is not None:
            with self._lock:
                self._mine.pop(claim.key, None)
        return event

    def sweep(self, is_over: Callable[[ActionId], bool]) -> None:
        """Give up the keys of actions whose parents ended. May write.

        Not at the first sight: the row that says that a parent runs once more may be on its way.
        """
        with self._lock:
            self._parents = {key: who for key, who in self._parents.items() if key in self._mine}
            parents = list(self._parents.items())
        # Not under the lock: who answers has one of its own, and calls us under it.
        left = {key for key, parent in parents if is_over(parent)}
        with self._lock:
            claims = [self._mine[key] for key in left & self._left if key in self._mine]
            self._left = left
        self._release(claims)

    def close(self) -> None:
        """The run has ended: give everything up."""
        with self._lock:
            self._is_closed = True
            claims = list(self._mine.values())
        self._release(claims)

    def _release(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            try:
                self._leases.release(claim)
            except StoreError as error:
                logger.warning("%s ends with its run only: %s", claim, error)
            with self._lock:
                if self._mine.get(claim.key) == claim:
                    del self._mine[claim.key]

    def _in_background(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="flyte-ray-flight", daemon=True).start()


def _answer(result: Result) -> Answer:
    return Answer(
        outputs=Payload.from_json(result.outputs),
        source="cache",
        source_run=RunName(result.run),
        source_action=ActionId(result.action_id),
    )


def _superseded(event: Event, result: Result) -> Event:
    attrs = {**event.attrs, "superseded_by": f"{result.run}/{result.action_id}"}
    return replace(event, outputs=result.outputs, attrs=attrs)
