"""What crosses between workers and the host that keeps their book: rows, questions, answers.

As plain tuples: pickling a dataclass with slots takes ten times as long. Both ends run the same
release, so nothing here is ever stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.facts import Facts, text_of_facts
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import Payload

# `EventKind(text)` asks a metaclass, at four times the cost of a dict.
_KINDS = {kind.value: kind for kind in EventKind}
_PHASES = {phase.value: phase for phase in ActionPhase}

Row = tuple[Any, ...]


def pack_events(events: Sequence[Event]) -> list[Row]:
    """Rows of the book as tuples."""
    return [
        (
            event.kind.value,
            event.at_us,
            event.action_id,
            event.parent_id,
            event.attempt,
            event.task,
            event.phase and event.phase.value,
            event.cache_key,
            event.inputs,
            event.outputs,
            event.error,
            text_of_facts(event.attrs),
            event.queued_us,
        )
        for event in events
    ]


def unpack_events(rows: Sequence[Row]) -> list[Event]:
    """The inverse."""
    return [
        Event(
            kind=_KINDS[kind],
            at_us=at_us,
            action_id=action_id,
            parent_id=parent_id,
            attempt=attempt,
            task=task,
            phase=phase and _PHASES[phase],
            cache_key=cache_key,
            inputs=inputs,
            outputs=outputs,
            error=error,
            attrs=Facts(attrs),
            queued_us=queued_us,
        )
        for (
            kind,
            at_us,
            action_id,
            parent_id,
            attempt,
            task,
            phase,
            cache_key,
            inputs,
            outputs,
            error,
            attrs,
            queued_us,
        ) in rows
    ]


def pack_questions(questions: Sequence[Question]) -> list[Row]:
    """Questions as tuples."""
    return [
        (
            asked.action_id,
            asked.task,
            asked.identity,
            asked.cache_key,
            asked.serialize,
            asked.max_age_s,
            asked.replay,
            asked.adopt,
            asked.parent_id,
        )
        for asked in questions
    ]


def unpack_questions(rows: Sequence[Row]) -> list[Question]:
    """The inverse."""
    return [
        Question(
            action_id=action_id,
            task=task,
            identity=identity,
            cache_key=cache_key,
            serialize=serialize,
            max_age_s=max_age_s,
            replay=replay,
            adopt=adopt,
            parent_id=parent_id,
        )
        for (
            action_id,
            task,
            identity,
            cache_key,
            serialize,
            max_age_s,
            replay,
            adopt,
            parent_id,
        ) in rows
    ]


def pack_answers(answers: Sequence[Answer | None]) -> list[Row | None]:
    """Answers as tuples, their outputs as the text that stands in the record."""
    return [
        None
        if found is None
        else (
            found.outputs.to_json(),
            found.source,
            found.source_run,
            found.source_action,
            found.error,
            found.ask_again_s,
        )
        for found in answers
    ]


def unpack_answers(rows: Sequence[Row | None]) -> list[Answer | None]:
    """The inverse."""
    return [None if row is None else _answer(*row) for row in rows]


def _answer(
    outputs: str, source: str, run: Any, action: Any, error: str | None, ask_again_s: float
) -> Answer:
    return Answer(
        outputs=Payload.from_json(outputs),
        source=source,
        source_run=run,
        source_action=action,
        error=error,
        ask_again_s=ask_again_s,
    )
