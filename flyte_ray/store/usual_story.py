"""The record of an action whose story is the usual one, told at once instead of row by row.

Nearly every action was submitted, perhaps seen to start, and ended, once each. `usual` says what
became of such a one, a third as dear as `fold`, and None for every other story. Pure.

Rule: where it answers, it says what `fold` says (tests/unit/store/test_usual_story.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.store.fold import ActionRecord, AttemptRecord, phase_after


class Row(NamedTuple):
    """A row of the book, as it is stored; attributes are parsed."""

    kind: str
    at_us: int | None
    parent_id: str | None
    attempt: int | None
    task: str | None
    status: str | None
    cache_key: str | None
    inputs: str | None
    outputs: str | None
    error: str | None
    attrs: Mapping[str, Any]


_LOGS = "logs"
_SUBMITTED = EventKind.SUBMITTED.value
_STARTED = EventKind.STARTED.value
_TRACE = EventKind.TRACE.value
_TERMINAL = frozenset(phase.value for phase in ActionPhase if phase.is_terminal)
_END_KINDS = (
    EventKind.SUCCEEDED,
    EventKind.FAILED,
    EventKind.ABORTED,
    EventKind.TIMED_OUT,
    EventKind.RECOVERED,
    EventKind.CACHE_HIT,
    EventKind.TRACE,
)
_ENDS: Mapping[tuple[str, str | None], ActionPhase] = {
    **{(kind.value, phase): ActionPhase(phase) for kind in _END_KINDS for phase in _TERMINAL},
    **{(kind.value, None): phase_after(kind) for kind in _END_KINDS},
}
"""The phase in which a row leaves its action, of rows that end it."""
_ADOPTIONS = frozenset({EventKind.CACHE_HIT.value, EventKind.RECOVERED.value})
_FIRSTS = frozenset({(_SUBMITTED,), (_STARTED,), (_SUBMITTED, _STARTED)})


def usual(action_id: ActionId, rows: Sequence[Row]) -> ActionRecord | None:
    """What became of the action; None where more happened than a submission, a start and an end."""
    end = rows[-1]
    phase = _ENDS.get((end.kind, end.status))
    if phase is None:
        return None
    if len(rows) == 1:
        attrs = end.attrs
        if _LOGS in attrs:
            attrs = {name: value for name, value in attrs.items() if name != _LOGS}
        return _record(action_id, phase, attrs, (None, None, end))
    if tuple([row.kind for row in rows[:-1]]) not in _FIRSTS:
        return None
    first, last = rows[0], rows[-2]
    if first.status in _TERMINAL or last.status in _TERMINAL:
        return None
    started = last if last.kind == _STARTED else None
    if started is not None and end.attempt not in (0, None, started.attempt):
        return None
    merged = {**first.attrs, **last.attrs, **end.attrs}
    merged.pop(_LOGS, None)
    submitted = first if first.kind == _SUBMITTED else None
    return _record(action_id, phase, merged, (submitted, started, end))


def _record(
    action_id: ActionId,
    phase: ActionPhase,
    attrs: Mapping[str, Any],
    story: tuple[Row | None, Row | None, Row],
) -> ActionRecord:
    submitted, started, end = story
    attempts = _attempts(started, end, phase)
    started_us = attempts[0].started_us if attempts else None
    # An adopted action mostly has this row only.
    asked = end if submitted is None and end.kind in _ADOPTIONS else submitted
    parent, task = end.parent_id, end.task
    key, inputs = end.cache_key, end.inputs
    for earlier in (started, submitted):
        if earlier is not None:
            parent = parent or earlier.parent_id
            task = task or earlier.task
            key = key or earlier.cache_key
            inputs = inputs or earlier.inputs
    return ActionRecord(
        action_id=action_id,
        parent_id=None if parent is None else ActionId(parent),
        task=task or "",
        kind="trace" if end.kind == _TRACE else "task",
        phase=phase,
        cached=end.kind == EventKind.CACHE_HIT.value,
        attempts=attempts,
        submitted_us=None if asked is None else asked.at_us or 0,
        started_us=_microseconds(attrs.get("started_us")) if started_us is None else started_us,
        ended_us=_microseconds(end.attrs.get("ended_us")) or end.at_us or 0,
        cache_key=key,
        inputs_json=inputs,
        outputs_json=end.outputs,
        error=end.error,
        attrs=attrs,
    )


def _attempts(started: Row | None, end: Row, phase: ActionPhase) -> tuple[AttemptRecord, ...]:
    attrs = end.attrs
    began_us = _microseconds(attrs.get("started_us"))
    number = end.attempt or 0
    if started is not None:
        attrs = {**started.attrs, **attrs}
        number = started.attempt or 0
        seen_us = _microseconds(started.attrs.get("started_us")) or started.at_us or 0
        began_us = seen_us if began_us is None else began_us
    elif not number:
        return ()
    attempt = AttemptRecord(
        attempt=number,
        phase=phase,
        started_us=began_us,
        ended_us=_microseconds(end.attrs.get("ended_us")) or end.at_us or 0,
        error=end.error,
        will_retry=False,
        node=str(attrs.get("node") or ""),
        worker=str(attrs.get("worker") or ""),
        pid=int(attrs.get("pid") or 0),
        logs=str(attrs.get("logs") or ""),
        logs_key=attrs.get("logs_key"),
    )
    return (attempt,)


def _microseconds(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
