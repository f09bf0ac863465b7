"""Is there an answer already? This run's book first, then the recovered run, then the cache.

An answer whose values are gone from the store is no answer: the action simply runs (never a
dangling pointer). Everything asked here lies in the host's memory; only the cache index may read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.payload import EMPTY, Payload
from flyte_ray.core.ports import Blobs, CacheEntry, CacheIndex
from flyte_ray.engine.memory import Memory


class Lookup:
    """Answers the questions of one run's parents."""

    def __init__(
        self,
        *,
        run: RunName,
        book: Memory,
        source: Memory,
        source_run: RunName | None,
        cache: CacheIndex,
        blobs: Blobs,
    ) -> None:
        self._run = run
        self._book = book
        self._source = source
        self._source_run = source_run
        self._cache = cache
        self._blobs = blobs

    def answer(self, questions: Sequence[Question]) -> list[Answer | None]:
        """One answer or None per question; the cache is asked once for all of them."""
        answers = [self._replayed(question) for question in questions]
        open_keys = [
            question.cache_key
            for question, answer in zip(questions, answers, strict=True)
            if answer is None and question.cache_key is not None
        ]
        if not open_keys:
            return answers
        hits = self._cache.look_up(open_keys)
        return [
            answer or self._cached(question, hits)
            for question, answer in zip(questions, answers, strict=True)
        ]

    def _replayed(self, question: Question) -> Answer | None:
        if not question.replay:
            return None
        found = self._from_records(question, self._book, self._run, "book")
        if found is None and question.adopt and self._source_run is not None:
            found = self._from_records(question, self._source, self._source_run, "recovered")
        return found

    def _from_records(
        self, question: Question, memory: Memory, run: RunName, source: str
    ) -> Answer | None:
        known = memory.get(question.action_id)
        if known is None or not known.phase.is_terminal:
            return None
        if known.phase.is_success and known.outputs is not None:
            outputs = Payload.from_json(known.outputs)
            if not self._is_whole(outputs):
                return None
            return Answer(
                outputs=outputs,
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
        if entry is None or _is_too_old(entry, question.max_age_s):
            return None
        outputs = Payload.from_json(entry.outputs)
        if not self._is_whole(outputs):
            return None
        return Answer(
            outputs=outputs,
            source="cache",
            source_run=RunName(entry.run),
            source_action=ActionId(entry.action_id),
        )

    def _is_whole(self, outputs: Payload) -> bool:
        keys = [value.key for value in outputs.values.values() if value.key is not None]
        return all(self._blobs.exists(key) for key in keys)


def _is_too_old(entry: CacheEntry, max_age_s: float | None) -> bool:
    if not max_age_s:
        return False
    return time.time() - entry.created_us / 1e6 > max_age_s
