"""What became of each action: the events of a book folded into one record per action.

Pure. Later rows of an action complete what earlier ones said. The first row that ends it decides
(a success that was stored stays one, though an abort may come in late), until it is submitted again
by a retry of its parent or by the next owner of the run. Rows may be missing (the "started" of a
crashed attempt) and a "started" may come after the end it belongs to, also after further attempts:
it is a note that rides with others, and the end of a quick attempt does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flyte_ray.core.ids import ActionId, RunName, Scope
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import Payload
from flyte_ray.core.progress import progress_of

_PHASE_AFTER = {
    EventKind.SUBMITTED: ActionPhase.QUEUED,
    EventKind.STARTED: ActionPhase.RUNNING,
    EventKind.RETRYING: ActionPhase.QUEUED,
    EventKind.SUCCEEDED: ActionPhase.SUCCEEDED,
    EventKind.FAILED: ActionPhase.FAILED,
    EventKind.ABORTED: ActionPhase.ABORTED,
    EventKind.TIMED_OUT: ActionPhase.TIMED_OUT,
    EventKind.RECOVERED: ActionPhase.RECOVERED,
    EventKind.CACHE_HIT: ActionPhase.SUCCEEDED,
    EventKind.TRACE: ActionPhase.SUCCEEDED,
    EventKind.CONDITION: ActionPhase.PAUSED,
}
_KIND = {EventKind.TRACE: "trace", EventKind.CONDITION: "condition"}
_ADOPTIONS = frozenset({EventKind.CACHE_HIT, EventKind.RECOVERED})
"""Mostly the first and only row of their action."""
_ATTEMPT_ATTRS = frozenset({"logs"})


@dataclass(slots=True, kw_only=True)  # not frozen, which takes three times as long to make
class AttemptRecord:
    """One try of an action; nobody changes it."""

    attempt: int
    """1, 2, …; a number comes again when a retry of the parent runs the action again."""
    phase: ActionPhase
    """RUNNING, or how it ended; FAILED for one that was retried."""
    started_us: int | None
    ended_us: int | None
    error: str | None
    """JSON of `ErrorInfo.to_dict`."""
    will_retry: bool
    """Another attempt followed."""
    node: str
    worker: str
    pid: int
    logs: str
    """What it printed, if little."""
    logs_key: str | None
    """The object with what it printed, if much."""


@dataclass(slots=True, kw_only=True)  # not frozen: see above
class ActionRecord:
    """One node of a run and what became of it; nobody changes it."""

    action_id: ActionId
    parent_id: ActionId | None
    task: str
    kind: str
    """One of "task", "trace", "condition"."""
    phase: ActionPhase
    cached: bool
    attempts: tuple[AttemptRecord, ...]
    submitted_us: int | None
    started_us: int | None
    """Start of the first attempt."""
    ended_us: int | None
    cache_key: str | None
    inputs_json: str | None
    outputs_json: str | None
    error: str | None
    """JSON of `ErrorInfo.to_dict`."""
    attrs: Mapping[str, Any]
    """The attributes of all its rows, later ones over earlier ones; without captured output."""

    @property
    def name(self) -> str:
        """How the author calls it: the short name, else the task's."""
        return str(self.attrs.get("short_name") or self.task)

    @property
    def inputs(self) -> Payload | None:
        """The inputs; None where the book does not say."""
        return None if self.inputs_json is None else Payload.from_json(self.inputs_json)

    @property
    def outputs(self) -> Payload | None:
        """The outputs of a success."""
        return None if self.outputs_json is None else Payload.from_json(self.outputs_json)

    @property
    def is_final_error(self) -> bool:
        """True when it failed in a way that no retry can help."""
        if self.phase is not ActionPhase.FAILED or self.error is None:
            return False
        return json.loads(self.error).get("recoverable") is False

    @property
    def identity(self) -> str:
        """The task's identity: name, interface and code."""
        return str(self.attrs.get("identity") or "")

    @property
    def scope(self) -> Scope | None:
        """The scope under which it names its children."""
        scope = self.attrs.get("scope")
        return None if scope is None else Scope(scope)

    @property
    def group(self) -> str | None:
        """The group it was called in."""
        group = self.attrs.get("group")
        return None if group is None else str(group)


def phase_after(kind: EventKind) -> ActionPhase:
    """Where a row of this kind leaves its action, if it does not say so itself."""
    return _PHASE_AFTER[kind]


def tells_of_action(kind: EventKind, phase: ActionPhase | None) -> bool:
    """True for rows from which the story of an action is told."""
    # An aborted root may have no row of its own: the end of the run says how it ended.
    return kind in _PHASE_AFTER or (kind is EventKind.RUN_END and phase is not None)


def fold(events: Iterable[Event]) -> dict[ActionId, ActionRecord]:
    """One record per action, in the order of their first rows."""
    drafts: dict[ActionId, _Draft] = {}
    for event in events:
        if not tells_of_action(event.kind, event.phase):
            continue
        draft = drafts.get(event.action_id)
        if draft is None:
            draft = drafts[event.action_id] = _Draft(event.action_id)
        draft.add(event)
    return {action: draft.finished() for action, draft in drafts.items()}


def count_phases(actions: Iterable[ActionRecord]) -> dict[str, int]:
    """How many task actions stand where: the columns of `core.progress.Counts`."""
    tasks = [(a.task, a.phase, a.cached, a.parent_id) for a in actions if a.kind == "task"]
    totals: dict[str, int] = asdict(progress_of(RunName(""), ActionPhase.QUEUED, tasks).totals)
    return totals


@dataclass(slots=True)
class _AttemptDraft:
    attempt: int
    phase: ActionPhase = ActionPhase.RUNNING
    started_us: int | None = None
    ended_us: int | None = None
    error: str | None = None
    will_retry: bool = False
    attrs: dict[str, Any] = field(default_factory=dict)

    def finished(self) -> AttemptRecord:
        return AttemptRecord(
            attempt=self.attempt,
            phase=self.phase,
            started_us=self.started_us,
            ended_us=self.ended_us,
            error=self.error,
            will_retry=self.will_retry,
            node=str(self.attrs.get("node") or ""),
            worker=str(self.attrs.get("worker") or ""),
            pid=int(self.attrs.get("pid") or 0),
            logs=str(self.attrs.get("logs") or ""),
            logs_key=self.attrs.get("logs_key"),
        )


class _Draft:
    """An action record in the making."""

    def __init__(self, action_id: ActionId) -> None:
        self.action_id = action_id
        self.parent_id: ActionId | None = None
        self.task = ""
        self.kind = "task"
        self.phase = ActionPhase.QUEUED
        self.cached = False
        self.attempts: list[_AttemptDraft] = []
        self.submitted_us: int | None = None
        self.ended_us: int | None = None
        self.cache_key: str | None = None
        self.inputs: str | None = None
        self.outputs: str | None = None
        self.error: str | None = None
        self.attrs: dict[str, Any] = {}
        self._earlier = 0
        """Attempts from before it was submitted the last time."""

    def add(self, event: Event) -> None:
        """Take in one row."""
        self._describe(event)
        phase = event.phase or _PHASE_AFTER.get(event.kind, self.phase)
        if event.kind is EventKind.SUBMITTED:
            self._submit(event, phase)
        elif event.kind is EventKind.STARTED:
            self._start(event, phase)
        elif event.kind is EventKind.RETRYING:
            self._end_attempt(event, ActionPhase.FAILED, will_retry=True)
            self.phase = phase
        elif self._stands_against(event, phase):
            return
        elif phase.is_terminal:
            self._end(event, phase)
        else:
            self.phase = phase

    def _stands_against(self, event: Event, phase: ActionPhase) -> bool:
        """True if the action has ended in a way that this later row does not change."""
        if not self.phase.is_terminal:
            return False
        # Traces and conditions are tried again without being submitted.
        may_replace = phase.is_success or event.kind in _KIND
        return self.phase.is_success or not may_replace

    def _describe(self, event: Event) -> None:
        if event.kind is EventKind.RUN_END:
            return
        self.parent_id = event.parent_id or self.parent_id
        self.task = event.task or self.task
        self.kind = _KIND.get(event.kind, self.kind)
        self.cache_key = event.cache_key or self.cache_key
        self.inputs = event.inputs or self.inputs
        if event.attrs:
            self.attrs.update((k, v) for k, v in event.attrs.items() if k not in _ATTEMPT_ATTRS)

    def _submit(self, event: Event, phase: ActionPhase) -> None:
        if self.submitted_us is None:
            self.submitted_us = event.at_us
        queued_us = _microseconds(self.attrs.get("queued_us")) or 0
        if self.phase.is_success and event.at_us <= queued_us:
            return  # overtaken by the success that it led to, which its worker handed in itself
        self._earlier = len(self.attempts)
        self.phase = phase
        self.cached = False
        self.ended_us = self.error = self.outputs = None

    def _start(self, event: Event, phase: ActionPhase) -> None:
        started_us = _microseconds(event.attrs.get("started_us")) or event.at_us
        for known in self.attempts[self._earlier :]:
            if known.attempt == event.attempt:
                known.started_us = known.started_us or started_us
                known.attrs = {**event.attrs, **known.attrs}
                return
        if self.phase.is_terminal:
            return
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.ended_us is None:
            last.phase = ActionPhase.ABORTED  # lost with its owner: nobody saw how it ended
        draft = _AttemptDraft(event.attempt, started_us=started_us, attrs=dict(event.attrs))
        self.attempts.append(draft)
        self.phase = phase

    def _end_attempt(self, event: Event, phase: ActionPhase, *, will_retry: bool) -> None:
        last = self.attempts[-1] if self.attempts else None
        if last is None or (event.attempt not in (0, last.attempt) or last.ended_us is not None):
            if event.attempt == 0:
                return
            last = _AttemptDraft(event.attempt)
            self.attempts.append(last)
        last.phase = phase
        last.started_us = _microseconds(event.attrs.get("started_us")) or last.started_us
        last.ended_us = _microseconds(event.attrs.get("ended_us")) or event.at_us
        last.error = event.error
        last.will_retry = will_retry
        last.attrs.update(event.attrs)

    def _end(self, event: Event, phase: ActionPhase) -> None:
        self._end_attempt(event, phase, will_retry=False)
        if self.submitted_us is None and event.kind in _ADOPTIONS:
            self.submitted_us = event.at_us
        self.phase = phase
        self.cached = event.kind is EventKind.CACHE_HIT
        self.ended_us = _microseconds(event.attrs.get("ended_us")) or event.at_us
        self.outputs = event.outputs
        self.error = event.error

    def finished(self) -> ActionRecord:
        """The record as it stands."""
        started = [a.started_us for a in self.attempts if a.started_us is not None]
        return ActionRecord(
            action_id=self.action_id,
            parent_id=self.parent_id,
            task=self.task,
            kind=self.kind,
            phase=self.phase,
            cached=self.cached,
            attempts=tuple(attempt.finished() for attempt in self.attempts),
            submitted_us=self.submitted_us,
            started_us=min(started, default=_microseconds(self.attrs.get("started_us"))),
            ended_us=self.ended_us,
            cache_key=self.cache_key,
            inputs_json=self.inputs,
            outputs_json=self.outputs,
            error=self.error,
            attrs=self.attrs,
        )


def _microseconds(value: object) -> int | None:
    """A time of the record; 0 and nonsense mean that it is not known."""
    return value if isinstance(value, int) and value > 0 else None
