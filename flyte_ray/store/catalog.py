"""The read side: runs, their actions and what these printed, straight from the store.

Needs no host and no engine: it reads a run in progress and one that was cut off just as well. Only
what its owner had stored is seen (about half a second behind). A run without an end whose heartbeat
stands still is shown as it stood, with the heartbeat's age; whether its owner is dead is for the
reader to judge.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ActionNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.action_list import ActionFilter, ActionPage, ActionsFile, page_of
from flyte_ray.store.compaction import final_of
from flyte_ray.store.digests import LookInside, look_nowhere
from flyte_ray.store.final_tables import (
    ELEMENTS_KEY,
    EPOCH_KEY,
    actions_table,
    day_of,
    edges_table,
)
from flyte_ray.store.fold import ActionRecord, count_phases, fold
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.parts import list_parts, list_slots, read_pieces, rows_of_action
from flyte_ray.store.run_file import read_heartbeat, read_run, spec_from_json
from flyte_ray.store.schemas import ACTIONS, ACTIONS_VERSION, EDGES, EDGES_VERSION, RUNS
from flyte_ray.store.segments import segments_of
from flyte_ray.store.summaries import read_summaries, read_summary, reopened
from flyte_ray.store.tables import fitted, read_table

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


class Catalog:
    """Reads the runs of a store. Thread-safe; keeps the run it read last, so following is cheap."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._specs: dict[str, RunSpec] = {}
        self._last: tuple[RunName, LogFiles] | None = None

    def runs(
        self,
        limit: int | None = 100,
        *,
        task: str | None = None,
        labels: Mapping[str, str] | None = None,
        phase: ActionPhase | None = None,
    ) -> list[RunRecord]:
        """Runs, newest first.

        Costs a few reads for those that have ended and were folded (`summaries`); of every other
        run its description, and its book if it is shown.
        """
        marks = reopened(self._blobs)  # before the rows, which they say are of the past
        names = [name for name in self._blobs.list(layout.RUNS) if layout.is_run_name(name)]
        rows = read_summaries(self._blobs)
        wanted = dict(labels or {}).items()
        lines: list[tuple[int, str, RunSpec | Mapping[str, Any]]] = []
        others = []
        for name in names:
            row = rows.get(name)
            if row is None or row["counts"] is None or (row["epoch"] or 0) < marks.get(name, 0):
                others.append(name)
            elif (
                (task is None or row["task"] == task)
                and (phase is None or row["status"] == phase.value)
                and (not wanted or wanted <= json.loads(row["labels"] or "{}").items())
            ):
                lines.append((row["started_at"] or 0, name, row))
        specs = [
            spec
            for spec in in_parallel(self._blobs, self._spec_or_none, others)
            if spec and (task is None or spec.task == task) and wanted <= spec.labels.items()
        ]
        if phase is not None:
            found = in_parallel(self._blobs, self._summary, specs)
            specs = [record.spec for record in found if record.phase is phase]
        lines += [(spec.started_us, spec.name, spec) for spec in specs]
        lines.sort(key=lambda line: line[:2], reverse=True)
        return in_parallel(self._blobs, self._listed, [line[2] for line in lines[:limit]])

    def _listed(self, found: RunSpec | Mapping[str, Any]) -> RunRecord:
        return self._summary(found) if isinstance(found, RunSpec) else _of_row(found)

    def run(self, name: str) -> RunRecord:
        """One run, with its error. Raises `RunNotFoundError`."""
        spec = self._spec(name)
        final = self._final(spec.name)
        if final is not None:
            stored = read_summary(self._blobs, spec.name, day_of(spec))
            rows = [] if stored is None else fitted(stored.table, RUNS).to_pylist()
            for row in rows:
                if row["epoch"] == final["epoch"]:  # else it was resumed since, and not folded yet
                    return _ended(spec, final, error=row["error"])
        return self._from_book(spec, final)

    def spec(self, name: str) -> RunSpec:
        """What was asked for. Raises `RunNotFoundError`."""
        return self._spec(name)

    def events(self, name: str) -> list[Event]:
        """The book so far, in order. Raises `RunNotFoundError`."""
        run = self._spec(name).name
        with self._lock:
            if self._last is None or self._last[0] != run:
                self._last = (run, LogFiles(self._blobs, run))
            return self._last[1].events()

    def actions(self, name: str) -> dict[ActionId, ActionRecord]:
        """Every action of the run, parents before children. Raises `RunNotFoundError`."""
        return fold(self.events(name))

    def find_actions(
        self,
        name: str,
        wanted: ActionFilter | None = None,
        *,
        limit: int | None = 100,
        offset: int = 0,
    ) -> ActionPage:
        """A page of the run's actions; quick for any number of them once the run has ended.

        Raises `RunNotFoundError`.
        """
        run = self._spec(name).name
        data = self._current_table(run, layout.actions_table(run))
        if data is not None:
            return ActionsFile(data).page(wanted or ActionFilter(), limit, offset)
        table = actions_table(run, self.actions(run))
        return page_of(table, wanted or ActionFilter(), limit, offset)

    def action_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One row per action, schema `schemas.ACTIONS` (or some of it), in the state it has now.

        Raises `RunNotFoundError`.
        """
        run = self._spec(name).name
        names = list(ACTIONS.names if columns is None else columns)
        schema = pa.schema([ACTIONS.field(each) for each in names])
        data = self._current_table(run, layout.actions_table(run))
        if data is not None:
            return fitted(read_table(data, ACTIONS_VERSION, names).table, schema)
        return actions_table(run, self.actions(run)).select(names)

    def edge_table(self, name: str, look_inside: LookInside = look_nowhere) -> pa.Table:
        """What came from what, schema `schemas.EDGES`. Raises `RunNotFoundError`.

        `look_inside`: what works out elements, for runs that have not ended.
        """
        run = self._spec(name).name
        data = self._current_table(run, layout.edges_table(run))
        if data is not None:
            return fitted(read_table(data, EDGES_VERSION).table, EDGES)
        return edges_table(run, self.actions(run), look_inside)

    def lacks_elements(self, name: str) -> bool:
        """True if the stored edges of a run are without those of elements: an older release's."""
        run = self._spec(name).name
        data = self._current_table(run, layout.edges_table(run))
        return data is not None and ELEMENTS_KEY not in read_table(data, EDGES_VERSION, ()).metadata

    def _current_table(self, run: RunName, key: str) -> bytes | None:
        """A table of an ended run; None if it is missing or of an earlier end of the run."""
        final = self._final(run)
        if final is None:
            return None
        try:
            data = self._blobs.get(key)
            found = read_table(data, ACTIONS_VERSION, ())
        except (FileNotFoundError, StoreError):
            return None
        return data if found.metadata.get(EPOCH_KEY) == str(final["epoch"]) else None

    def action(self, name: str, action_id: str) -> ActionRecord:
        """One action. Raises `RunNotFoundError`, `ActionNotFoundError`.

        Of an ended run no other action's rows are held, however large it is.
        """
        run = self._spec(name).name
        if self._final(run) is None:
            found = self.actions(name).get(ActionId(action_id))
        else:
            found = fold(self._events_of(run, action_id)).get(ActionId(action_id))
        if found is None:
            raise ActionNotFoundError(
                f"run {name!r} has no action {action_id!r}: `flyte-ray get actions {name}` lists"
                " those it has"
            )
        return found

    def _events_of(self, run: RunName, action_id: str) -> list[Event]:
        try:
            slots, parts = list_slots(self._blobs, run), list_parts(self._blobs, run)
            return [
                event
                for piece in read_pieces(self._blobs, run, slots, parts)
                for segment in segments_of(rows_of_action(piece.rows.table, action_id))
                for event in segment.events
            ]
        except (StoreError, FileNotFoundError):
            # Damaged at its end, or being folded: who reads segment by segment knows what to do.
            return [each for each in self.events(run) if each.action_id == action_id]

    def log_text(self, name: str, action_id: str, attempt: int | None = None) -> str:
        """What an attempt printed (None: the last one); empty if nothing was captured."""
        attempts = self.action(name, action_id).attempts
        chosen = [each for each in attempts if attempt is None or each.attempt == attempt]
        if not chosen:
            return ""
        key = chosen[-1].logs_key
        if key is None:
            return chosen[-1].logs
        try:
            return self._blobs.get(key).decode("utf-8", "replace")
        except FileNotFoundError:
            return f"(the output of this attempt, {key}, has been removed from the store)\n"

    def report_html(self, name: str, action_id: str, attempt: int | None = None) -> str | None:
        """The report of an attempt (None: the last one that stored any); None if there is none."""
        run, action = self._spec(name).name, ActionId(action_id)
        if attempt is None:
            stored = map(layout.number, self._blobs.list(layout.reports(run, action)))
            attempt = max((number for number in stored if number is not None), default=0)
        try:
            return self._blobs.get(layout.report(run, action, attempt)).decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    def _spec(self, name: str) -> RunSpec:
        spec = self._specs.get(name)
        if spec is None:
            spec = self._specs[name] = read_run(self._blobs, name)
        return spec

    def _spec_or_none(self, name: str) -> RunSpec | None:
        try:
            return self._spec(name)
        except LookupError:
            return None  # a folder whose run.json is not there yet, or was removed just now

    def _summary(self, spec: RunSpec) -> RunRecord:
        """A line of a list; the book is read only if the run has not ended."""
        final = self._final(spec.name)
        if final is None:
            return self._from_book(spec, None)
        return _ended(spec, final, error=None)

    def _from_book(self, spec: RunSpec, final: Mapping[str, Any] | None) -> RunRecord:
        events = LogFiles(self._blobs, spec.name).events()
        actions = fold(events)
        root = actions.get(ROOT_ACTION)
        error = root.error if root else None
        if final is None and events and events[-1].kind is EventKind.RUN_END:
            final = {"ended_us": events[-1].at_us, **events[-1].attrs}
        if final is not None:
            return _ended(spec, final, error=error)
        return RunRecord(
            spec=spec,
            phase=root.phase if root else ActionPhase.QUEUED,
            counts=count_phases(actions.values()),
            started_us=spec.started_us or (root and root.submitted_us) or 0,
            ended_us=None,
            heartbeat_age_s=self._heartbeat_age_s(spec.name),
            error=error,
        )

    def _final(self, run: RunName) -> Mapping[str, Any] | None:
        """How the run ended under its latest owner; None while that one is at work."""
        return final_of(self._blobs, run)

    def _heartbeat_age_s(self, run: RunName) -> float | None:
        beat = read_heartbeat(self._blobs, run)
        return None if beat is None else max(0.0, (utc_now_us() - beat.at_us) / 1e6)


def _of_row(row: Mapping[str, Any]) -> RunRecord:
    final = {name: row[column] for name, column in (("status", "status"), ("ended_us", "ended_at"))}
    counts = json.loads(row["counts"])
    spec = spec_from_json(json.loads(row["spec"]))
    return _ended(spec, {**final, "counts": counts}, error=None)


def _ended(spec: RunSpec, final: Mapping[str, Any], *, error: str | None) -> RunRecord:
    return RunRecord(
        spec=spec,
        phase=_PHASES.get(str(final.get("status") or final.get("phase")), ActionPhase.FAILED),
        counts=dict(final.get("counts", {})),
        started_us=spec.started_us,
        ended_us=final.get("ended_us"),
        heartbeat_age_s=None,
        error=error,
    )
