"""The way from a worker to the host that keeps its run's book: the `BookKeeper` over a line.

One exchange is outstanding while anything is in flight: it carries what gathered since the last
one, and comes back when the store has it. Idle, an event costs one round trip; under load the
batches grow by themselves (the same idea as the ledger's group commit). A second exchange may set
out while the first is under way, so that a lone event does not wait for a large batch.

The line is a socket where worker and host share a machine, and an actor call elsewhere
(`runtime/lines`). A host that died is restarted by Ray and reads its books again. What was not
acknowledged is sent once more under the same ids; a row that stands twice in a book counts once.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyte_ray import errors
from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.model import Event
from flyte_ray.runtime.wire_book import pack_events, pack_questions, unpack_answers

logger = logging.getLogger(__name__)

OUTSTANDING = 2
LONGEST_BATCH = 2000
"""Rows and questions in one exchange; a parcel with more of them goes by itself."""
LONGEST_NOTE = 500
"""Rows that nobody waits for, in one parcel."""
NOTE_DELAY_S = 0.05
RETRY_S = 0.3
HOST_PATIENCE_S = 120.0
"""How long a host may be away (restarting, reading its books) before its runs count as lost."""


class Line(Protocol):
    """Carries one batch to the host and its reply back."""

    def send(self, data: bytes) -> Future[bytes]:
        """The reply; a `ConnectionError` when the host cannot be reached just now."""
        ...


@dataclass(slots=True)
class _Parcel:
    """What one caller hands in, and the future of its answer."""

    run: str
    events: list[Event] = field(default_factory=list)
    questions: Sequence[Question] = ()
    answer: Future[Any] | None = None
    """None when nobody waits."""

    @property
    def size(self) -> int:
        """Rows or questions."""
        return len(self.events) or len(self.questions)

    def takes_notes_of(self, run: str) -> bool:
        """True for a parcel of such notes that has room."""
        return self.answer is None and self.run == run and len(self.events) < LONGEST_NOTE


class HostChannel:
    """The `BookKeeper` port of a worker process. Thread-safe."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._queue: deque[_Parcel] = deque()
        self._outstanding = 0
        self._note_timer: threading.Timer | None = None

    # ---- the BookKeeper port

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        """Hand events in; the future ends when the store has them."""
        return self._send(_Parcel(run=run, events=list(events)))

    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        """Ask the host's memory."""
        return self._send(_Parcel(run=run, questions=questions))

    def note(self, run: str, events: Sequence[Event]) -> None:
        """Hand events in that ride with the next exchange, or leave by themselves soon."""
        with self._lock:
            last = self._queue[-1] if self._queue else None
            if last is None or not last.takes_notes_of(run):
                last = _Parcel(run=run)
                self._queue.append(last)
            last.events.extend(events)
            if self._note_timer is None:
                self._note_timer = threading.Timer(NOTE_DELAY_S, self._notes_due)
                self._note_timer.daemon = True
                self._note_timer.start()

    # ---- the pump

    def _send(self, parcel: _Parcel) -> Future[Any]:
        answer: Future[Any] = Future()
        parcel.answer = answer
        with self._lock:
            self._queue.append(parcel)
        self._pump()
        return answer

    def _notes_due(self) -> None:
        with self._lock:
            self._note_timer = None
        self._pump()

    def _pump(self) -> None:
        with self._lock:
            if not self._queue or self._outstanding >= OUTSTANDING:
                return
            batch = self._next_batch()
            self._outstanding += 1
        self._set_out(batch, pickle.dumps(packed(batch)), time.monotonic() + HOST_PATIENCE_S)

    def _next_batch(self) -> list[_Parcel]:
        batch = [self._queue.popleft()]
        size = batch[0].size
        while self._queue and size + self._queue[0].size <= LONGEST_BATCH:
            batch.append(self._queue.popleft())
            size += batch[-1].size
        return batch

    def _set_out(self, batch: list[_Parcel], data: bytes, give_up_at: float) -> None:
        def landed(reply: Future[bytes]) -> None:
            error = reply.exception()
            if isinstance(error, ConnectionError) and time.monotonic() < give_up_at:
                again = threading.Timer(RETRY_S, self._set_out, (batch, data, give_up_at))
                again.daemon = True
                again.start()
                return
            with self._lock:
                self._outstanding -= 1
            if error is not None:
                _refuse(batch, _lost(error))
            else:
                _deliver(batch, pickle.loads(reply.result()))
            self._pump()

        self._line.send(data).add_done_callback(landed)


Entry = tuple[str, str, bool, list[Any]]
"""What ("events" or "questions"), of which run, awaited or not, and the items."""


def packed(batch: Sequence[_Parcel]) -> list[Entry]:
    """The batch for the host: the rows of a run together and first, then each question."""
    events: dict[str, Entry] = {}
    asked: list[Entry] = []
    for parcel in batch:
        if parcel.questions:
            asked.append(("questions", parcel.run, True, pack_questions(parcel.questions)))
        else:
            what, run, awaited, items = events.get(parcel.run, ("events", parcel.run, False, []))
            items.extend(pack_events(parcel.events))
            events[parcel.run] = (what, run, awaited or parcel.answer is not None, items)
    return [*events.values(), *asked]


def _is_question(parcel: _Parcel) -> bool:
    return bool(parcel.questions)


def _deliver(batch: list[_Parcel], replies: list[Any]) -> None:
    """Replies come in the order of `packed`."""
    runs = list(dict.fromkeys(parcel.run for parcel in batch if not _is_question(parcel)))
    by_run = dict(zip(runs, replies, strict=False))
    answers = iter(replies[len(runs) :])
    for parcel in batch:
        reply = next(answers) if _is_question(parcel) else by_run[parcel.run]
        if parcel.answer is None:
            continue
        if isinstance(reply, BaseException):
            parcel.answer.set_exception(reply)
        else:
            parcel.answer.set_result(unpack_answers(reply) if _is_question(parcel) else reply)


def _refuse(batch: list[_Parcel], error: BaseException) -> None:
    for parcel in batch:
        if parcel.answer is not None:
            parcel.answer.set_exception(error)


def _lost(error: BaseException) -> errors.FlyteRayError:
    return errors.StoreError(
        f"the host that keeps this run's book could not be reached ({error!r}). What was "
        "acknowledged is safe in the store; go on with `flyte-ray rerun RUN --recover`."
    )
