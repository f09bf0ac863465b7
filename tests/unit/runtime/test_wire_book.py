"""Rows, questions and answers arrive as they were sent."""

from __future__ import annotations

import pickle
from dataclasses import fields

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.runtime.wire_book import (
    pack_answers,
    pack_events,
    pack_questions,
    unpack_answers,
    unpack_events,
    unpack_questions,
)

PAYLOAD = Payload(
    values={"x": EncodedValue(codec="json", type="int", digest="d" * 64, size_bytes=1, inline="1")}
)
QUESTION = Question(
    action_id=ActionId("a1"),
    task="env.step",
    identity="i",
    cache_key="k",
    serialize=True,
    max_age_s=1.5,
    replay=False,
    adopt=False,
    parent_id=ActionId("p1"),
)
ANSWER = Answer(
    outputs=PAYLOAD,
    source="cache",
    source_run=RunName("earlier"),
    source_action=ActionId("a9"),
    error="{}",
    ask_again_s=0.5,
)


def test_events_arrive_as_they_were() -> None:
    events = [
        Event(
            kind=EventKind.SUCCEEDED,
            at_us=5,
            action_id=ActionId("a1"),
            parent_id=ActionId("a0"),
            attempt=2,
            task="env.step",
            phase=ActionPhase.SUCCEEDED,
            cache_key="key",
            inputs="{}",
            outputs=PAYLOAD.to_json(),
            error=None,
            attrs={"node": "n", "pid": 3},
            queued_us=4,
        ),
        Event(kind=EventKind.EPOCH, at_us=6, action_id=ActionId("a0")),
    ]
    sent = pickle.loads(pickle.dumps(pack_events(events)))
    assert unpack_events(sent) == events


def test_no_field_of_a_question_or_an_answer_is_left_behind() -> None:
    plain = Question(action_id=ActionId("a2"), task="other")
    assert all(getattr(plain, f.name) != getattr(QUESTION, f.name) for f in fields(Question))
    asked = pickle.loads(pickle.dumps(pack_questions([QUESTION, plain])))
    assert unpack_questions(asked) == [QUESTION, plain]
    told = pickle.loads(pickle.dumps(pack_answers([None, ANSWER])))
    assert unpack_answers(told) == [None, ANSWER]
