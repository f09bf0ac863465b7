"""The read side: runs, their actions and what these printed, straight from the store.

Needs no host and no engine: it reads a run in progress and one that was cut off just as well. Only
what its owner had stored is seen (about half a second behind). A run without an end whose heartbeat
stands still is shown as it stood, with the heartbeat's age; whether its owner is dead is for the
reader to judge. A damaged run keeps no other one from being listed: of it a list shows what can be
read, and a warning says what is wrong; who asks for a run whose book is damaged gets the error.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ActionNotFoundError, ConfigurationError, StoreError
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
from flyte_ray.store.fold import ActionRecord, fold
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.parts import list_parts, list_slots, read_pieces, rows_of_action
from flyte_ray.store.run_file import read_run
from flyte_ray.store.run_record import RunRecord, record_of_book, record_of_end, record_of_row
from flyte_ray.store.schemas import ACTIONS, ACTIONS_VERSION, EDGES, EDGES_VERSION, RUNS
from flyte_ray.store.segments import segments_of
from flyte_ray.store.summaries import read_summaries, read_summary, reopened
from flyte_ray.store.tables import fitted, read_table

logger = logging.getLogger(__name__)

__all__ = ["Catalog", "RunRecord"]


class _Book:
    """The book of one run as far as it has been read; one thread at a time reads on."""

    def __init__(self, blobs: Blobs, run: RunName) -> None:
        self.run = run
        self._files = LogFiles(blobs, run)
        self._lock = threading.Lock()

    def events(self) -> list[Event]:
        with self._lock:
            return self._files.events()


class Catalog:
    """Reads the runs of a store. Thread-safe; keeps the run it read last, so following is cheap."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._specs: dict[str, RunSpec] = {}
        self._told: set[tuple[str, str]] = set()
        self._last: _Book | None = None

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
            specs = [record.spec for record in found if record and record.phase is phase]
        lines += [(spec.started_us, spec.name, spec) for spec in specs]
        lines.sort(key=lambda line: line[:2], reverse=True)
        records = in_parallel(self._blobs, self._listed, [line[2] for line in lines[:limit]])
        return [record for record in records if record is not None]

    def _listed(self, found: RunSpec | Mapping[str, Any]) -> RunRecord | None:
        return self._summary(found) if isinstance(found, RunSpec) else record_of_row(found)

    def run(self, name: str) -> RunRecord:
        """One run, with its error. Raises `RunNotFoundError`."""
        spec = self._spec(name)
        final = self._final(spec.name)
        if final is not None:
            stored = read_summary(self._blobs, spec.name, day_of(spec))
            rows = [] if stored is None else fitted(stored.table, RUNS).to_pylist()
            for row in rows:
                if row["epoch"] == final["epoch"]:  # else it was resumed since, and not folded yet
                    return record_of_end(spec, final, error=row["error"])
        return record_of_book(self._blobs, spec, final, self._events(spec.name))

    def spec(self, name: str) -> RunSpec:
        """What was asked for. Raises `RunNotFoundError`."""
        return self._spec(name)

    def has_ended(self, name: str) -> bool:
        """Whether the run's book is closed, from two small files. Raises `RunNotFoundError`."""
        return self._final(self._spec(name).name) is not None

    def is_over(self, name: str) -> bool:
        """As `has_ended`, but a last row that says so is enough, as it is for `run`.

        For who watches: costs what is new in the book. Raises `RunNotFoundError`.
        """
        run = self._spec(name).name
        if self._final(run) is not None:
            return True
        events = self._events(run)
        return bool(events) and events[-1].kind is EventKind.RUN_END

    def events(self, name: str) -> list[Event]:
        """The book so far, in order. Raises `RunNotFoundError`."""
        return self._events(self._spec(name).name)

    def _events(self, run: RunName) -> list[Event]:
        with self._lock:
            if self._last is None or self._last.run != run:
                self._last = _Book(self._blobs, run)
            book = self._last
        return book.events()

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
        except (StoreError, ConfigurationError) as error:
            self._tell(name, "left out of the list", error)
            return None

    def _summary(self, spec: RunSpec) -> RunRecord | None:
        """A line of a list; the book is read only if the run has not ended."""
        final = self._final(spec.name)
        if final is not None:
            return record_of_end(spec, final, error=None)
        files = LogFiles(self._blobs, spec.name)
        try:
            return record_of_book(self._blobs, spec, None, files.events())
        except (StoreError, ConfigurationError) as error:
            damaged = files.damaged()
            if not damaged:
                self._tell(spec.name, "left out of the list", error)
                return None
            self._tell(spec.name, "listed as it stood before the damage", error)
            return record_of_book(self._blobs, spec, None, files.events(below=damaged[0]))

    def _tell(self, run: str, what: str, error: Exception) -> None:
        """Say once how a damaged run is treated. Raises `StoreError` if the store is away."""
        self._blobs.list(layout.log(RunName(run)))
        if (run, what) not in self._told:
            self._told.add((run, what))
            logger.warning("run %s is %s: %s", run, what, error)

    def _final(self, run: RunName) -> Mapping[str, Any] | None:
        """How the run ended under its latest owner; None while that one is at work.

        None also if the file is damaged: the book has the same as its last row.
        """
        try:
            return final_of(self._blobs, run)
        except StoreError as error:
            self._tell(run, "shown by its book alone", error)
            return None
