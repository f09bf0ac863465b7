"""Which runs and actions a list shows: Flyte's filters, as conditions on records.

Pure but for the one reading of the catalog in `matching_runs`. Filters that speak of accounts on a
Flyte backend (project, domain, subject) are accepted and hold for everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyte_ray.core.model import ActionPhase
from flyte_ray.store.catalog import Catalog, RunRecord

Phases = str | ActionPhase | Iterable[str | ActionPhase] | None


@dataclass(frozen=True, slots=True)
class TimeFilter:
    """A span of time; an open end holds for everything. Naive times are local ones.

    Example:
        >>> from datetime import UTC, datetime
        >>> TimeFilter(after=datetime(2026, 1, 1, tzinfo=UTC)).holds(0)
        False
    """

    after: datetime | None = None
    before: datetime | None = None

    def holds(self, at_us: int | None) -> bool:
        """True for a moment (microseconds since 1970 UTC) inside the span."""
        if at_us is None:
            return self.after is None and self.before is None
        at = datetime.fromtimestamp(at_us / 1e6, UTC)
        return (self.after is None or at >= self.after.astimezone(UTC)) and (
            self.before is None or at < self.before.astimezone(UTC)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """What a listed run must be. The names are Flyte's; `task`, `labels` and `phase` are ours."""

    in_phase: Phases = None
    phase: Phases = None
    task_name: str | None = None
    task: str | None = None
    task_version: str | None = None
    """Digest of the run's code."""
    created_at: TimeFilter | None = None
    updated_at: TimeFilter | None = None
    with_labels: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    with_label_keys: Iterable[str] | None = None
    paused_actions_only: bool = False
    project: str | None = None
    domain: str | None = None
    created_by_subject: str | None = None
    sort_by: Any = None

    def holds(self, record: RunRecord) -> bool:
        """True for a run that is to be listed; task and labels were looked at before."""
        spec = record.spec
        wanted = phases_of(self.in_phase) | phases_of(self.phase)
        if self.paused_actions_only:
            wanted |= {ActionPhase.PAUSED}
        return (
            (not wanted or record.phase in wanted)
            and (self.task_version is None or spec.code.digest == self.task_version)
            and set(self.with_label_keys or ()) <= set(spec.labels)
            and (self.created_at is None or self.created_at.holds(record.started_us))
            and (self.updated_at is None or self.updated_at.holds(record.ended_us))
        )


def phases_of(given: Phases) -> set[ActionPhase]:
    """The phases that a filter names, however it names them.

    Raises:
        ValueError: there is no such phase.
    """
    if given is None:
        return set()
    each = [given] if isinstance(given, str) else list(given)
    return {ActionPhase(str(phase).lower()) for phase in each}


def matching_runs(catalog: Catalog, limit: int, filters: Mapping[str, Any]) -> Iterator[RunRecord]:
    """Runs that pass the filters, newest first.

    Raises:
        TypeError: a filter that neither Flyte nor this package has.
        ValueError: there is no such phase.
    """
    wanted = RunFilter(**filters)
    found = 0
    for record in catalog.runs(
        None,
        task=wanted.task or wanted.task_name,
        labels={**(wanted.labels or {}), **(wanted.with_labels or {})},
    ):
        if found >= limit:
            return
        if wanted.holds(record):
            found += 1
            yield record
