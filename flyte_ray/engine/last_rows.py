"""The last rows of a book: what the root left unfinished is aborted, and the run ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase, Event, EventKind, Settled, utc_now_us
from flyte_ray.engine.memory import Known


def left_unfinished(known: Iterable[Known], reason: str) -> list[Event]:
    """One row per action below the root that nobody will end any more."""
    now = utc_now_us()
    return [
        Event(
            kind=EventKind.ABORTED,
            at_us=now,
            action_id=each.action_id,
            parent_id=each.parent_id,
            task=each.task,
            phase=ActionPhase.ABORTED,
            attrs={"reason": reason},
        )
        for each in known
        if not each.phase.is_terminal and each.action_id != ROOT_ACTION
    ]


def root_aborted(task: str, error: ErrorInfo) -> Event:
    """The end of a root that nobody drives."""
    return Event(
        kind=EventKind.ABORTED,
        at_us=utc_now_us(),
        action_id=ROOT_ACTION,
        task=task,
        phase=ActionPhase.ABORTED,
        error=json.dumps(error.to_dict()),
    )


def run_end(task: str, settled: Settled, root: Known | None, counts: Mapping[str, int]) -> Event:
    """The row after which the book takes no more."""
    # An aborted root has no acknowledged row of its own yet; its phase follows from this one.
    phase = None if root is not None and root.phase.is_terminal else settled.phase
    return Event(
        kind=EventKind.RUN_END,
        at_us=utc_now_us(),
        action_id=ROOT_ACTION,
        task=task,
        phase=phase,
        error=json.dumps(settled.error.to_dict()) if settled.error is not None else None,
        attrs={"phase": settled.phase.value, "counts": dict(counts)},
    )
