"""What the record answers: this run, the recovered run, then the cache; never a dead pointer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.failure import from_exception
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.engine.flight import Flights
from flyte_ray.engine.lookup import Lookup
from flyte_ray.engine.memory import Memory
from flyte_ray.errors import NonRecoverableError
from flyte_ray.store.cache_index import Entry
from tests.unit.store.stores import DictBlobs

A1 = ActionId("a1")


def payload(text: str, key: str | None = None) -> Payload:
    value = EncodedValue(
        codec="json", type="str", digest="d" * 64, size_bytes=1, inline=text, key=key
    )
    return Payload(values={"o0": value})


def row(kind: EventKind, phase: ActionPhase, **changes: Any) -> Event:
    event = Event(kind=kind, at_us=1, action_id=A1, task="env.step", phase=phase)
    return replace(event, **changes)


def success(text: str, key: str | None = None) -> Event:
    outputs = payload(text, key).to_json()
    return row(EventKind.SUCCEEDED, ActionPhase.SUCCEEDED, outputs=outputs)


class Cache:
    """A cache index in a dict, which counts how often it is asked."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self.entries = dict(entries or {})
        self.asked: list[list[str]] = []

    def look_up(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        self.asked.append(list(keys))
        return {key: self.entries[key] for key in keys if key in self.entries}

    def publish(self, entries: Sequence[Any]) -> None:
        raise AssertionError("a look-up publishes nothing")


def entry(text: str, *, age_s: float = 0.0, key: str | None = None) -> Entry:
    return Entry(
        key="k",
        created_us=int((time.time() - age_s) * 1e6),
        run="cached-run",
        action_id="c1",
        task="env.step",
        outputs=payload(text, key).to_json(),
    )


def ask(
    question: Question,
    *,
    book: Sequence[Event] = (),
    source: Sequence[Event] | None = None,
    cache: Cache | None = None,
    blobs: DictBlobs | None = None,
) -> Answer | None:
    lookup = Lookup(
        run=RunName("this"),
        book=Memory(book),
        source=Memory.successes(source or (), RunName("earlier")),
        source_run=RunName("earlier") if source is not None else None,
        cache=cache or Cache(),
        blobs=blobs or DictBlobs(),
    )
    (answer,) = lookup.answer([question])
    return answer


def question(**changes: Any) -> Question:
    return replace(Question(action_id=A1, task="env.step"), **changes)


def said(answer: Answer | None) -> tuple[str, str, str | None]:
    assert answer is not None
    return answer.source, answer.source_run, answer.outputs.values["o0"].inline


def test_nothing_known_is_no_answer() -> None:
    assert ask(question(cache_key="k"), source=[]) is None


def test_this_run_answers_before_the_recovered_run_and_the_cache() -> None:
    cache = Cache({"k": entry("cached")})
    found = ask(
        question(cache_key="k"), book=[success("mine")], source=[success("old")], cache=cache
    )
    assert said(found) == ("book", "this", "mine")
    assert cache.asked == []


def test_the_recovered_run_answers_before_the_cache() -> None:
    found = ask(
        question(cache_key="k"), source=[success("old")], cache=Cache({"k": entry("cached")})
    )
    assert said(found) == ("recovered", "earlier", "old")


def test_a_success_of_other_code_is_not_recovered() -> None:
    asked = row(EventKind.SUBMITTED, ActionPhase.QUEUED, attrs={"identity": "then"})
    done = replace(success("old"), queued_us=1)
    for source in ([asked, done], [done, asked]):  # a success may overtake
        assert said(ask(question(identity="then"), source=source))[0] == "recovered"
        assert ask(question(identity="now"), source=source) is None
    mine = ask(question(identity="now"), book=[asked, success("mine")])
    assert said(mine) == ("book", "this", "mine"), "within one run the code is the same"


def test_the_cache_answers_last() -> None:
    found = ask(question(cache_key="k"), cache=Cache({"k": entry("cached")}))
    assert said(found) == ("cache", "cached-run", "cached")


def test_without_a_key_the_cache_is_not_asked() -> None:
    cache = Cache({"k": entry("cached")})
    assert ask(question(), cache=cache) is None
    assert cache.asked == []


def test_without_replay_the_books_are_not_asked() -> None:
    fresh = question(replay=False)
    assert ask(fresh, book=[success("mine")], source=[success("old")]) is None


def test_a_forced_action_is_not_adopted_but_may_replay_in_its_own_run() -> None:
    forced = question(adopt=False)
    assert ask(forced, source=[success("old")]) is None
    assert said(ask(forced, book=[success("mine")], source=[success("old")]))[0] == "book"


@pytest.mark.parametrize(
    "event",
    [
        row(EventKind.SUBMITTED, ActionPhase.QUEUED),
        row(EventKind.STARTED, ActionPhase.RUNNING),
        row(EventKind.ABORTED, ActionPhase.ABORTED),
        row(EventKind.TIMED_OUT, ActionPhase.TIMED_OUT),
    ],
    ids=lambda event: event.kind.value,
)
def test_what_did_not_succeed_runs_again(event: Event) -> None:
    assert ask(question(), book=[event], source=[event]) is None


def failure(kind: EventKind, error: Exception) -> Event:
    text = json.dumps(from_exception(error).to_dict())
    return row(kind, ActionPhase.FAILED, error=text)


def test_a_failed_task_runs_again_even_if_its_error_was_final() -> None:
    assert ask(question(), book=[failure(EventKind.FAILED, NonRecoverableError("no"))]) is None


def test_a_trace_that_failed_for_good_is_told_again_in_its_own_run_only() -> None:
    final = failure(EventKind.TRACE, NonRecoverableError("no"))
    found = ask(question(), book=[final])
    assert found is not None
    assert found.error == final.error
    assert ask(question(), source=[final]) is None


def test_a_trace_that_failed_otherwise_runs_again() -> None:
    assert ask(question(), book=[failure(EventKind.TRACE, ValueError("no"))]) is None


@pytest.mark.parametrize("where", ["book", "source", "cache"])
def test_an_answer_whose_value_is_gone_is_none(where: str) -> None:
    gone = {
        "book": {"book": [success("x", key="runs/r/values/v")]},
        "source": {"source": [success("x", key="runs/r/values/v")]},
        "cache": {"cache": Cache({"k": entry("x", key="runs/r/values/v")})},
    }[where]
    blobs = DictBlobs()
    asked = question(cache_key="k")
    assert ask(asked, blobs=blobs, **gone) is None  # type: ignore[arg-type]
    blobs.put("runs/r/values/v", b"here")
    assert ask(asked, blobs=blobs, **gone) is not None  # type: ignore[arg-type]


def test_an_entry_that_is_too_old_is_a_miss() -> None:
    cache = Cache({"k": entry("cached", age_s=100)})
    assert ask(question(cache_key="k", max_age_s=50), cache=cache) is None
    assert ask(question(cache_key="k", max_age_s=500), cache=cache) is not None


def test_the_cache_is_asked_once_for_all_open_questions() -> None:
    cache = Cache({"k": entry("cached")})
    lookup = Lookup(
        run=RunName("this"),
        book=Memory([success("mine")]),
        source=Memory(),
        source_run=None,
        cache=cache,
        blobs=DictBlobs(),
    )
    asked = [
        question(cache_key="k"),
        question(action_id=ActionId("a2"), cache_key="k"),
        question(action_id=ActionId("a3"), cache_key="other"),
        question(action_id=ActionId("a4")),
    ]
    answers = lookup.answer(asked)
    assert [answer and answer.source for answer in answers] == ["book", "cache", None, None]
    assert cache.asked == [["k", "other"]]


def test_a_chain_of_recoveries_names_the_run_that_has_the_result() -> None:
    earlier, oldest = Memory(), Memory([success("oldest")])
    earlier.fill_in(oldest, leaving_out=())
    assert earlier.get(A1) == oldest.get(A1)
    refused = Memory()
    refused.fill_in(oldest, leaving_out={"a1"})
    assert refused.get(A1) is None


def test_what_is_computed_instead_of_an_entry_that_would_not_do_replaces_it() -> None:
    entries = {"old": entry("x", age_s=100), "gone": entry("x", key="runs/r/values/v")}
    lookup = Lookup(
        run=RunName("this"),
        book=Memory(),
        source=Memory(),
        source_run=None,
        cache=Cache(entries),
        blobs=DictBlobs(),
    )
    asked = [
        question(cache_key="old", max_age_s=50),
        question(cache_key="gone"),
        question(cache_key="new"),
    ]
    assert lookup.answer(asked) == [None, None, None]
    assert [lookup.replaces(key) for key in ("old", "gone", "new", None)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("url", ["memory://test", "gs://bucket"])
def test_a_loop_waits_for_answers_from_memory_only(url: str) -> None:
    reads = False
    blobs = DictBlobs(url)
    cache = Cache({"k": entry("x")})
    cache.reads_for = lambda keys: reads  # type: ignore[attr-defined]
    lookup = Lookup(
        run=RunName("this"),
        book=Memory(),
        source=Memory(),
        source_run=None,
        cache=cache,
        blobs=blobs,
        flights=Flights(blobs, RunName("this"), 1),
    )
    fresh = question(replay=False)
    assert lookup.is_quick([fresh])
    assert lookup.is_quick([replace(fresh, cache_key="unknown")])
    assert lookup.is_quick([replace(fresh, cache_key="k")]) == (url == "memory://test")
    assert lookup.is_quick([question()]) == (url == "memory://test")
    assert not lookup.is_quick([replace(fresh, cache_key="k", serialize=True)])
    reads = True
    assert not lookup.is_quick([replace(fresh, cache_key="unknown")])
