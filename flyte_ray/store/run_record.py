"""One run as lists and look-ups tell of it: from its row, from how it ended, or from its book."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.store.fold import count_phases, fold
from flyte_ray.store.run_file import read_heartbeat, spec_from_json

_PHASES = {phase.value: phase for phase in ActionPhase}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run and what became of it."""

    spec: RunSpec
    phase: ActionPhase
    """The root action's; QUEUED while the book is empty."""
    counts: Mapping[str, int]
    """See `fold.count_phases`."""
    started_us: int
    ended_us: int | None
    heartbeat_age_s: float | None
    """By this machine's clock; None for an ended run, and for one that never showed life."""
    error: str | None = None
    """JSON of the root action's error; read from the book, so None in lists of ended runs."""

    @property
    def name(self) -> RunName:
        """The run's name."""
        return self.spec.name


def record_of_row(row: Mapping[str, Any]) -> RunRecord:
    """Of an ended run: its row among the summaries."""
    final = {name: row[column] for name, column in (("status", "status"), ("ended_us", "ended_at"))}
    counts = json.loads(row["counts"])
    spec = spec_from_json(json.loads(row["spec"]))
    return record_of_end(spec, {**final, "counts": counts}, error=None)


def record_of_end(spec: RunSpec, final: Mapping[str, Any], *, error: str | None) -> RunRecord:
    """Of an ended run: what its final file says."""
    return RunRecord(
        spec=spec,
        phase=_PHASES.get(str(final.get("status") or final.get("phase")), ActionPhase.FAILED),
        counts=dict(final.get("counts", {})),
        started_us=spec.started_us,
        ended_us=final.get("ended_us"),
        heartbeat_age_s=None,
        error=error,
    )


def record_of_book(
    blobs: Blobs, spec: RunSpec, final: Mapping[str, Any] | None, events: Sequence[Event]
) -> RunRecord:
    """Of any run: its book so far. Without a final file it has ended if its last row says so."""
    actions = fold(events)
    root = actions.get(ROOT_ACTION)
    error = root.error if root else None
    if final is None and events and events[-1].kind is EventKind.RUN_END:
        final = {"ended_us": events[-1].at_us, **events[-1].attrs}
    if final is not None:
        return record_of_end(spec, final, error=error)
    return RunRecord(
        spec=spec,
        phase=root.phase if root else ActionPhase.QUEUED,
        counts=count_phases(actions.values()),
        started_us=spec.started_us or (root and root.submitted_us) or 0,
        ended_us=None,
        heartbeat_age_s=_heartbeat_age_s(blobs, spec.name),
        error=error,
    )


def _heartbeat_age_s(blobs: Blobs, run: RunName) -> float | None:
    beat = read_heartbeat(blobs, run)
    return None if beat is None else max(0.0, (utc_now_us() - beat.at_us) / 1e6)
