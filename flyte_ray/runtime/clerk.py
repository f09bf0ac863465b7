"""Takes what workers bring to the host, and answers when it is done.

No event loop: rows go straight from the reader of a connection into the ledger, and the reply
leaves from the ledger's own thread. A loop in between would cost more than the write itself.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flyte_ray import errors
from flyte_ray.engine.desk import HostDesk
from flyte_ray.runtime.wire_book import pack_answers, unpack_events, unpack_questions


class Clerk:
    """Serves batches (see `channel.packed`) for all runs of a desk. Thread-safe."""

    def __init__(self, desk: HostDesk) -> None:
        self._desk = desk

    def serve(self, data: bytes, reply: Callable[[bytes], None]) -> None:
        """Hand all entries of a batch in, and reply once the last of them is done."""
        entries = pickle.loads(data)
        answers = _Answers(len(entries), reply)
        handed_in = [self._hand_in(*entry) for entry in entries]
        for place, each in enumerate(handed_in):
            answers.expect(place, each)

    def _hand_in(self, what: str, run: str, awaited: bool, items: list[Any]) -> Any:
        """The answer, or the future of it. Nothing waits here."""
        try:
            host = self._desk.host(run)
            if what == "questions":
                return host.look_up(unpack_questions(items))
            events = unpack_events(items)
            if awaited:
                return host.record(events)
            host.note(events)
        except errors.FlyteRayError as error:
            return error
        return None


class _Answers:
    """The answers of one batch, as they come."""

    def __init__(self, count: int, reply: Callable[[bytes], None]) -> None:
        self._answers: list[Any] = [None] * count
        self._left = count
        self._lock = threading.Lock()
        self._reply = reply
        if not count:
            reply(pickle.dumps([]))

    def expect(self, place: int, answer: Any) -> None:
        """Take an answer, or the future of one."""
        if isinstance(answer, Future):
            answer.add_done_callback(lambda done: self._take(place, _outcome(done)))
        else:
            self._take(place, answer)

    def _take(self, place: int, answer: Any) -> None:
        with self._lock:
            self._answers[place] = answer
            self._left -= 1
            if self._left:
                return
        self._reply(pickle.dumps(self._answers))


def _outcome(done: Future[Any]) -> Any:
    """The reply to one entry: what a question came to, or nothing, or why not."""
    error = done.exception()
    if error is not None:
        return error
    answers = done.result()
    return None if answers is None else pack_answers(answers)
