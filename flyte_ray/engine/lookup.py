"""Is there an answer already? This run's book first, then the recovered run, then the cache.

An answer whose values are gone from the store is no answer: the action simply runs (never a
dangling pointer). The book and the recovered run lie in the host's memory; the cache index may read
from the store, and so does the search for values. Questions are therefore taken many at once.

A key that is to be computed once only (`Cache(serialize=True)`) is asked for last: whoever gets no
answer then has claimed it, and others are told that it is held (`flight`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.payload import EMPTY, Payload
from flyte_ray.core.ports import Blobs, CacheEntry, CacheIndex
from flyte_ray.engine.flight import Flights
from flyte_ray.engine.memory import Memory
from flyte_ray.engine.presence import Presence
from flyte_ray.store.blobs import is_local
from flyte_ray.store.leases import Result

Place = tuple[int, Question]
"""A question, and where it stands in the batch."""


class Lookup:
    """Answers the questions of one run's parents. Thread-safe as far as its memories are."""

    def __init__(
        self,
        *,
        run: RunName,
        book: Memory,
        source: Memory,
        source_run: RunName | None,
        cache: CacheIndex,
        blobs: Blobs,
        flights: Flights | None = None,
    ) -> None:
        self._run = run
        self._book = book
        self._source = source
        self._source_run = source_run
        self._cache = cache
        self._presence = Presence(blobs)
        self._is_local = is_local(blobs)
        self._flights = flights
        self._unusable: set[str] = set()

    def is_quick(self, questions: Sequence[Question]) -> bool:
        """True if answering needs no reads, or tiny local ones: a loop may wait for it."""
        keys = [each.cache_key for each in questions if each.cache_key is not None]
        if self._flights is not None and any(each.serialize for each in questions) and keys:
            return False
        if not self._is_local and any(each.replay for each in questions):
            return False
        if not keys:
            return True
        if self._cache.reads_for(keys):
            return False
        return self._is_local or not self._cache.look_up(keys)

    def answer(self, questions: Sequence[Question]) -> list[Answer | None]:
        """One answer or None per question; the cache is asked once for all of them."""
        answers: list[Answer | None] = [None] * len(questions)
        if any(each.replay for each in questions):
            self._fill(answers, questions, self._from_book)
            if self._source_run is not None:
                self._fill(answers, questions, self._from_source)
        keys = [
            each.cache_key
            for each, answer in zip(questions, answers, strict=True)
            if answer is None and each.cache_key is not None
        ]
        if keys:
            hits = self._cache.look_up(keys)
            self._fill(answers, questions, lambda each: self._cached(each, hits))
            self._remember_unusable(questions, answers, hits)
            self._ask_flights(answers, questions)
        return answers

    def replaces(self, key: str | None) -> bool:
        """True if the cache's entry for this key was there but would not do (too old, gone)."""
        return key is not None and key in self._unusable

    def _fill(
        self,
        answers: list[Answer | None],
        questions: Sequence[Question],
        find: Callable[[Question], Answer | None],
    ) -> None:
        """Answer what is open, as far as the values are there."""
        found = {
            place: answer
            for place, question in enumerate(questions)
            if answers[place] is None and (answer := find(question)) is not None
        }
        if not found:
            return
        keys = [key for each in found.values() for key in self._presence.keys_of(each.outputs)]
        gone = self._presence.gone(keys) if keys else keys
        for place, answer in found.items():
            if not gone or not any(key in gone for key in self._presence.keys_of(answer.outputs)):
                answers[place] = answer

    def _from_book(self, question: Question) -> Answer | None:
        if not question.replay:
            return None
        return self._from_records(question, self._book, self._run, "book")

    def _from_source(self, question: Question) -> Answer | None:
        if not (question.replay and question.adopt) or self._source_run is None:
            return None
        known = self._source.get(question.action_id)
        if known is None or question.identity not in ("", known.identity):
            return None  # made with other code, of a task below it
        return self._from_records(question, self._source, self._source_run, "recovered")

    def _from_records(
        self, question: Question, memory: Memory, run: RunName, source: str
    ) -> Answer | None:
        known = memory.get(question.action_id)
        if known is None or not known.phase.is_terminal:
            return None
        if known.phase.is_success and known.outputs is not None:
            return Answer(
                outputs=Payload.from_json(known.outputs),
                source=source,
                source_run=known.run or run,
                source_action=known.action_id,
            )
        if known.is_trace and source == "book" and known.is_final_error:
            return Answer(
                outputs=EMPTY,
                source=source,
                source_run=run,
                source_action=known.action_id,
                error=known.error,
            )
        return None

    def _cached(self, question: Question, hits: Mapping[str, CacheEntry]) -> Answer | None:
        entry = hits.get(question.cache_key or "")
        if entry is None or _is_too_old(entry.created_us, question.max_age_s):
            return None
        return _from_cache(entry.outputs, entry.run, entry.action_id)

    def _remember_unusable(
        self,
        questions: Sequence[Question],
        answers: Sequence[Answer | None],
        hits: Mapping[str, CacheEntry],
    ) -> None:
        """What is computed now takes the place of an entry that would not do."""
        for question, answer in zip(questions, answers, strict=True):
            key = question.cache_key
            if answer is None and key is not None and key in hits:
                self._unusable.add(key)

    def _ask_flights(self, answers: list[Answer | None], questions: Sequence[Question]) -> None:
        if self._flights is None:
            return
        places = [
            place
            for place, question in enumerate(questions)
            if answers[place] is None and question.serialize and question.cache_key is not None
        ]
        if places:
            told = self._flights.ask([questions[place] for place in places], self._accepts)
            for place, answer in zip(places, told, strict=True):
                answers[place] = answer

    def _accepts(self, question: Question, result: Result) -> bool:
        """Whether the result of a flight will do for this question."""
        if _is_too_old(result.created_us, question.max_age_s):
            return False
        return not self._presence.gone(self._presence.keys_of(Payload.from_json(result.outputs)))


def _from_cache(outputs: str, run: str, action_id: str) -> Answer:
    return Answer(
        outputs=Payload.from_json(outputs),
        source="cache",
        source_run=RunName(run),
        source_action=ActionId(action_id),
    )


def _is_too_old(created_us: int, max_age_s: float | None) -> bool:
    if not max_age_s:
        return False
    return time.time() - created_us / 1e6 > max_age_s
