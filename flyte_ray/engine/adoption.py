"""What one run can adopt from another: its successes, read from the record in columns.

From a few columns of its table if it has ended, else from the rows of its book. Nothing is folded
into the full story of an action, and no row becomes an `Event`: thousands of rows are read here
before the first task of a recovered run starts.
"""

from __future__ import annotations

from typing import NamedTuple

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.memory import ADOPTING, SILENT, Known, Memory
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.digests import parsed_objects
from flyte_ray.store.parts import list_parts, list_slots, read_pieces
from flyte_ray.store.schemas import LOG
from flyte_ray.store.tables import lists

_ADOPTED = (
    "action_id",
    "parent_id",
    "task",
    "kind",
    "status",
    "cached",
    "outputs",
    "task_identity",
)
_PHASES = frozenset(phase.value for phase in ActionPhase)
_SUCCESSES = frozenset(phase.value for phase in ActionPhase if phase.is_success)
_TERMINAL = frozenset(phase.value for phase in ActionPhase if phase.is_terminal)
_TELLING = frozenset(kind.value for kind in EventKind if kind not in SILENT)
_SUBMITTED = EventKind.SUBMITTED.value
_ADOPTING = frozenset(kind.value for kind in ADOPTING)
_STARTED = EventKind.STARTED.value


def adoptable(blobs: Blobs, run: RunName) -> Memory:
    """The successes of a run that is no longer at work: all that another one can adopt from it.

    Raises:
        RunNotFoundError: there is no such run.
    """
    catalog = Catalog(blobs)
    if not blobs.exists(layout.actions_table(run)):
        name = catalog.spec(run).name
        try:
            return _Book(blobs, name).successes()
        except (StoreError, FileNotFoundError):
            # Damaged at its end, or being folded: who reads segment by segment knows what to do.
            return Memory.successes(catalog.events(run), run)
    table = catalog.action_table(run, _ADOPTED)
    memory = Memory()
    rows = zip(*(table.column(name).to_pylist() for name in _ADOPTED), strict=True)
    for action_id, parent_id, task, kind, status, cached, outputs, identity in rows:
        if status in _SUCCESSES and outputs is not None:
            memory.know(
                Known(
                    action_id=action_id,
                    parent_id=parent_id,
                    task=task,
                    is_trace=kind == "trace",
                    phase=ActionPhase(status),
                    cached=bool(cached),
                    outputs=outputs,
                    run=run,
                    identity=identity or "",
                )
            )
    return memory


class _Row(NamedTuple):
    """What of a row of the book says whether its action can be adopted."""

    action_id: str | None
    kind: str
    status: str | None
    happened_at: int | None
    parent_id: str | None
    task: str | None
    attempt: int | None
    outputs: str | None
    attrs: str | None


class _Book:
    """The rows of a book, of each action the ones that count. Rule: as `Memory.apply`."""

    def __init__(self, blobs: Blobs, run: RunName) -> None:
        self._run = run
        self._first: dict[str, _Row] = {}
        self._last: dict[str, _Row] = {}
        self._attempts: dict[str, int] = {}
        self._submitted: dict[str, str | None] = {}
        for piece in read_pieces(blobs, run, list_slots(blobs, run), list_parts(blobs, run)):
            columns = lists(piece.rows.table, LOG)
            for row in zip(*(columns[name] for name in _Row._fields), strict=True):
                self._take_in(_Row._make(row))

    def _take_in(self, row: _Row) -> None:
        action = row.action_id or ""
        if row.kind == _SUBMITTED or (row.kind in _ADOPTING and action not in self._submitted):
            self._submitted[action] = row.attrs
        if row.status not in _PHASES or row.kind not in _TELLING:
            return
        known = self._last.get(action)
        if known is None:
            self._first[action] = row
        elif _comes_late(row, known):
            return
        self._last[action] = row
        self._attempts[action] = max(row.attempt or 0, self._attempts.get(action, 0))

    def successes(self) -> Memory:
        """What succeeded in the end."""
        rows = {
            action: row
            for action, row in self._last.items()
            if row.status in _SUCCESSES and row.outputs is not None
        }
        asked = parsed_objects([self._submitted.get(action) for action in rows])
        memory = Memory()
        for (action, row), attrs in zip(rows.items(), asked, strict=True):
            first = self._first[action]
            memory.know(
                Known(
                    action_id=ActionId(action),
                    parent_id=None if first.parent_id is None else ActionId(first.parent_id),
                    task=first.task or "",
                    is_trace=first.kind == EventKind.TRACE,
                    phase=ActionPhase(str(row.status)),
                    cached=row.kind == EventKind.CACHE_HIT,
                    attempt=self._attempts[action],
                    outputs=row.outputs,
                    run=self._run,
                    identity=attrs.get("identity", ""),
                )
            )
        return memory


def _comes_late(row: _Row, known: _Row) -> bool:
    """True for a row that was overtaken by the end of what it begins."""
    if row.kind == _STARTED:
        return known.status in _TERMINAL
    is_overtaken = row.kind == _SUBMITTED and known.status in _SUCCESSES
    return is_overtaken and (row.happened_at or 0) <= _queued_us(known)


def _queued_us(row: _Row) -> int:
    [attrs] = parsed_objects([row.attrs])
    return int(attrs.get("queued_us", 0))
