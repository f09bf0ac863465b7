"""The central nouns: phases, events of the book, the outcome of an attempt.

Values only; nothing here decides (that is `core/lifecycle.py`) or does anything.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ActionId
from flyte_ray.core.noun import noun
from flyte_ray.core.payload import Payload


class ActionPhase(StrEnum):
    """Where an action stands. `cached` is no phase of its own: see the `cached` attribute."""

    QUEUED = "queued"
    WAITING_FOR_RESOURCES = "waiting_for_resources"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    RECOVERED = "recovered"

    __hash__ = str.__hash__  # that of an enum is a function in Python, and every row is asked

    @property
    def is_terminal(self) -> bool:
        """True when nothing will happen to the action any more."""
        return self in _TERMINAL

    @property
    def is_success(self) -> bool:
        """True when the action has outputs."""
        return self is ActionPhase.SUCCEEDED or self is ActionPhase.RECOVERED


_TERMINAL = frozenset(
    {
        ActionPhase.SUCCEEDED,
        ActionPhase.FAILED,
        ActionPhase.ABORTED,
        ActionPhase.TIMED_OUT,
        ActionPhase.RECOVERED,
    }
)


class EventKind(StrEnum):
    """What a row of the book says. Readers ignore kinds they do not know."""

    SUBMITTED = "submitted"
    STARTED = "started"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    RECOVERED = "recovered"
    CACHE_HIT = "cache_hit"
    TRACE = "trace"
    CONDITION = "condition"
    EPOCH = "epoch"
    FENCE = "fence"
    RUN_END = "run_end"

    __hash__ = str.__hash__  # see `ActionPhase`


DAY_US = 24 * 3600 * 1_000_000
"""A day in microseconds."""


def utc_now_us() -> int:
    """Microseconds since 1970 in UTC; for the record only, never for a decision."""
    return time.time_ns() // 1000


@noun(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of a run's book. `slot` and `epoch` are added by the ledger that writes it."""

    kind: EventKind
    at_us: int
    """When it happened, microseconds since 1970 UTC, by the clock of who reports it."""
    action_id: ActionId
    parent_id: ActionId | None = None
    attempt: int = 0
    """1, 2, …; 0 for rows that belong to no attempt."""
    task: str = ""
    """Name of the task, traced function or condition."""
    phase: ActionPhase | None = None
    """The action's phase after this event; None where the event does not change it."""
    cache_key: str | None = None
    inputs: str | None = None
    """`Payload.to_json`; stands on the action's first row."""
    outputs: str | None = None
    """`Payload.to_json` of a success."""
    error: str | None = None
    """JSON of `ErrorInfo.to_dict` of a failure."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """The long tail, JSON in the record: identity, group, started_us, ended_us, node, worker, pid,
    logs, cached_from, custom context, …"""
    queued_us: int = 0
    """Of a success: when its attempt was submitted. In the record it stands among the `attrs`."""


class OutcomeKind(StrEnum):
    """How an attempt ended, as far as the one who asked for it must tell them apart."""

    SUCCEEDED = "succeeded"
    USER_ERROR = "user_error"
    FINAL_ERROR = "final_error"
    """User error that must not be retried: NonRecoverableError, wrong call, unpicklable result."""
    PLATFORM_ERROR = "platform_error"
    """Worker, replica, node or store lost: charged to the platform's budget."""
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    """The attempt's own limit (max_runtime, max_queued_time): charged to `retries`."""
    CANCELLED = "cancelled"


@noun(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an attempt ran."""

    node: str = ""
    worker: str = ""
    pid: int = 0


@noun(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one attempt came to."""

    kind: OutcomeKind
    outputs: Payload | None = None
    error: ErrorInfo | None = None
    started_us: int = 0
    ended_us: int = 0
    place: Place = Place()
    logs: str = ""
    """Captured stdout, stderr and logging of the attempt (small ones), else empty."""
    logs_key: str | None = None
    """Key of the log object of an attempt that printed more."""

    @property
    def is_success(self) -> bool:
        """True when there are outputs."""
        return self.kind is OutcomeKind.SUCCEEDED


@noun(frozen=True, slots=True, kw_only=True)
class Settled:
    """How an action ended; the store has it."""

    phase: ActionPhase
    outputs: Payload | None = None
    error: ErrorInfo | None = None
