"""The rows of the book, as the engine writes them: one place for their form.

A success may be handed in by the worker that has it, while its reply to the parent is still on the
way; every other end is written by whoever drives the action. Both write the same row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flyte_ray.core.calls import Answer, AttemptSpec
from flyte_ray.core.facts import fact, joined, text_of_facts
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.model import (
    ActionPhase,
    Event,
    EventKind,
    Outcome,
    OutcomeKind,
    Place,
    utc_now_us,
)
from flyte_ray.core.payload import Payload

END_KINDS: Mapping[ActionPhase, EventKind] = {
    ActionPhase.SUCCEEDED: EventKind.SUCCEEDED,
    ActionPhase.FAILED: EventKind.FAILED,
    ActionPhase.ABORTED: EventKind.ABORTED,
    ActionPhase.TIMED_OUT: EventKind.TIMED_OUT,
}


def submitted(spec: AttemptSpec, attrs: Mapping[str, Any]) -> Event:
    """The action's first row: what was asked for."""
    return Event(
        kind=EventKind.SUBMITTED,
        at_us=utc_now_us(),
        action_id=spec.action_id,
        parent_id=spec.parent_id,
        task=spec.task,
        phase=ActionPhase.QUEUED,
        cache_key=spec.cache_key,
        inputs=spec.inputs.to_json(),
        attrs=attrs,
    )


def adopted(
    spec: AttemptSpec, answer: Answer, phase: ActionPhase, attrs: Mapping[str, Any]
) -> Event:
    """The one row of an action that another run has the outputs of: what was asked for, and that.

    Args:
        spec: the first attempt, which is not made.
        answer: from the cache or from the recovered run.
        phase: of the adoption.
        attrs: the attributes of a first row.
    """
    recovered = phase is ActionPhase.RECOVERED
    origin = f"{answer.source_run}/{answer.source_action}"
    found = fact("recovered_from" if recovered else "cached_from", origin)
    return Event(
        kind=EventKind.RECOVERED if recovered else EventKind.CACHE_HIT,
        at_us=utc_now_us(),
        action_id=spec.action_id,
        parent_id=spec.parent_id,
        task=spec.task,
        phase=phase,
        cache_key=spec.cache_key,
        inputs=spec.inputs.to_json(),
        outputs=answer.outputs.to_json(),
        attrs=joined(text_of_facts(attrs), found),
    )


def started(spec: AttemptSpec, place: Place) -> Event:
    """An attempt has begun."""
    return Event(
        kind=EventKind.STARTED,
        at_us=utc_now_us(),
        action_id=spec.action_id,
        parent_id=spec.parent_id,
        attempt=spec.attempt,
        task=spec.task,
        phase=ActionPhase.RUNNING,
        attrs={"node": place.node, "worker": place.worker, "pid": place.pid},
    )


def row(
    spec: AttemptSpec,
    kind: EventKind,
    phase: ActionPhase,
    attrs: Mapping[str, Any],
    *,
    outputs: Payload | None = None,
    error: ErrorInfo | None = None,
) -> Event:
    """Any later row of the action; `spec.attempt` is the attempt it speaks of."""
    return Event(
        kind=kind,
        at_us=utc_now_us(),
        action_id=spec.action_id,
        parent_id=spec.parent_id,
        attempt=spec.attempt,
        task=spec.task,
        phase=phase,
        cache_key=spec.cache_key,
        outputs=outputs.to_json() if outputs is not None else None,
        error=json.dumps(error.to_dict()) if error is not None else None,
        attrs=attrs,
    )


def success(spec: AttemptSpec, outcome: Outcome) -> Event:
    """The row of an attempt that succeeded."""
    attrs: Mapping[str, Any]
    if outcome.logs or outcome.logs_key:
        attrs = outcome_attrs(spec, outcome)
    else:  # put together by hand: of most actions it is the row that somebody waits for
        times = f'"started_us":{outcome.started_us},"ended_us":{outcome.ended_us}'
        attrs = joined(f'{{"queued_us":{spec.queued_us},{times}}}', _place_text(outcome.place))
    return Event(
        kind=EventKind.SUCCEEDED,
        at_us=utc_now_us(),
        action_id=spec.action_id,
        parent_id=spec.parent_id,
        attempt=spec.attempt,
        task=spec.task,
        phase=ActionPhase.SUCCEEDED,
        cache_key=spec.cache_key,
        outputs=outcome.outputs.to_json() if outcome.outputs is not None else None,
        attrs=attrs,
        queued_us=spec.queued_us,
    )


@lru_cache(maxsize=256)
def _place_text(place: Place) -> str:
    return text_of_facts({"node": place.node, "worker": place.worker, "pid": place.pid})


def outcome_attrs(spec: AttemptSpec, outcome: Outcome) -> dict[str, Any]:
    """Times, place and output of an attempt. `queued_us` tells which submission it belongs to."""
    attrs: dict[str, Any] = {
        "queued_us": spec.queued_us,
        "started_us": outcome.started_us,
        "ended_us": outcome.ended_us,
        "node": outcome.place.node,
        "worker": outcome.place.worker,
        "pid": outcome.place.pid,
    }
    if outcome.kind is not OutcomeKind.SUCCEEDED:
        attrs["outcome"] = outcome.kind.value
    if outcome.logs:
        attrs["logs"] = outcome.logs
    if outcome.logs_key:
        attrs["logs_key"] = outcome.logs_key
    return attrs
