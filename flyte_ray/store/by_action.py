"""The rows of a book in the order of actions instead of time, with bounded memory.

A book may be read once only, for it can be large and far away; the rows of one action may lie
anywhere in it. So rows are dealt into turns of `ACTIONS_A_TURN` actions (in the order of their
first rows) as they pass by. What does not fit into memory lies in temporary files of this process
meanwhile; a small book touches no disk.

In memory stay some 200 bytes per action (its id and its place), and of the rows at most
`HELD_BYTES`: while they come in, and again while a turn is told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.store.collector import collector_paused
from flyte_ray.store.digests import parsed_objects
from flyte_ray.store.fold import ActionRecord, fold, tells_of_action
from flyte_ray.store.schemas import LOG
from flyte_ray.store.tables import column, fitted, lists
from flyte_ray.store.usual_story import Row, usual

ACTIONS_A_TURN = 10_000
HELD_BYTES = 32 * 1024 * 1024

_KINDS = {kind.value: kind for kind in EventKind}
_PHASES: dict[str | None, ActionPhase] = {phase.value: phase for phase in ActionPhase}
_TELLING = frozenset(kind.value for kind in EventKind if tells_of_action(kind, None))
_RUN_END = EventKind.RUN_END.value
_NOWHERE = -1
_PLACE = "place"
_DEALT = pa.schema([field for field in LOG if field.name not in ("slot", "epoch")])
_DEALT_WITH_PLACE = _DEALT.append(pa.field(_PLACE, pa.int64()))
_TOLD = [name for name in _DEALT.names if name != "action_id"]
"""In the order of `Row`."""


@dataclass(slots=True)
class _Turn:
    """The rows of some actions, in the order of the book."""

    spilled: list[Path] = field(default_factory=list)
    held: list[pa.Table] = field(default_factory=list)
    size_bytes: int = 0

    def tables(self) -> Iterator[pa.Table]:
        for path in self.spilled:
            with pa.memory_map(str(path)) as source:
                yield pa.ipc.open_stream(source).read_all()
        yield from self.held


class RowsByAction:
    """Takes the rows of a book in, and tells the actions in the order of their first rows.

    A context manager, for the temporary files.
    """

    def __init__(self) -> None:
        self.places: dict[ActionId, int] = {}
        """Every action so far, numbered in the order of their first rows."""
        self.parents: set[ActionId] = set()
        """The actions that others name as their parent."""
        self._turns: dict[int, _Turn] = {}
        self._held_bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __enter__(self) -> RowsByAction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, rows: pa.Table) -> None:
        """Take in the next rows of the book, columns as in `schemas.LOG`."""
        rows = fitted(rows, _DEALT)
        self.parents.update(rows.column("parent_id").to_pylist())
        places = self._places_of(rows)
        turns = {place // ACTIONS_A_TURN for place in places if place != _NOWHERE}
        marked = rows.append_column(_PLACE, column(places, pa.int64()))
        for turn in sorted(turns):
            self._hold(turn, marked if len(turns) == 1 else _between(marked, places, *_range(turn)))
        if self._held_bytes > HELD_BYTES:
            self._spill()

    def actions(self) -> Iterator[list[ActionRecord]]:
        """What became of the actions, some at a time. Once."""
        ids = list(self.places)
        for number in sorted(self._turns):
            turn = self._turns.pop(number)
            first, end = _range(number)
            end = min(end, len(self.places))
            pieces = 1 + turn.size_bytes // HELD_BYTES
            step = -(-(end - first) // pieces)
            for start in range(first, end, step):
                with collector_paused():
                    told = _told(turn, start, ids[start : min(start + step, end)])
                yield told
            for path in turn.spilled:
                path.unlink()

    def _places_of(self, rows: pa.Table) -> list[int]:
        places = self.places
        found = []
        columns = (rows.column(name).to_pylist() for name in ("kind", "action_id", "status"))
        for kind, action, status in zip(*columns, strict=True):
            if kind in _TELLING or (kind == _RUN_END and status in _PHASES):
                found.append(places.setdefault(ActionId(action or ""), len(places)))
            else:
                found.append(_NOWHERE)
        return found

    def _hold(self, number: int, rows: pa.Table) -> None:
        turn = self._turns.setdefault(number, _Turn())
        turn.held.append(rows)
        turn.size_bytes += rows.nbytes
        self._held_bytes += rows.nbytes

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="flyte-ray-fold-")
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        for turn in self._turns.values():
            if not turn.held:
                continue
            path = Path(self._folder.name) / str(self._files)
            self._files += 1
            with (
                pa.OSFile(str(path), "wb") as sink,
                pa.ipc.new_stream(sink, _DEALT_WITH_PLACE, options=options) as writer,
            ):
                for rows in turn.held:
                    writer.write_table(rows)
            turn.spilled.append(path)
            turn.held = []
        self._held_bytes = 0


def _range(turn: int) -> tuple[int, int]:
    return turn * ACTIONS_A_TURN, (turn + 1) * ACTIONS_A_TURN


def _between(rows: pa.Table, places: Sequence[int], first: int, end: int) -> pa.Table:
    wanted = [row for row, place in enumerate(places) if first <= place < end]
    if wanted and wanted[-1] - wanted[0] + 1 == len(wanted):  # as they come, mostly
        return rows.slice(wanted[0], len(wanted))
    return rows.take(column(wanted, pa.int64()))


def _told(turn: _Turn, first: int, ids: Sequence[ActionId]) -> list[ActionRecord]:
    """The actions of a turn that stand from one place on."""
    stories: list[list[Row]] = [[] for _ in ids]
    end = first + len(ids)
    for table in turn.tables():
        rows = _between(table, table.column(_PLACE).to_pylist(), first, end)
        columns = lists(rows, _DEALT)
        columns["attrs"] = parsed_objects(columns["attrs"])
        told = zip(*(columns[name] for name in _TOLD), strict=True)
        places = rows.column(_PLACE).to_pylist()
        for place, row in zip(places, told, strict=True):
            stories[place - first].append(Row._make(row))
    return [_record(action, story) for action, story in zip(ids, stories, strict=True)]


def _record(action: ActionId, story: Sequence[Row]) -> ActionRecord:
    found = usual(action, story)
    if found is None:
        [found] = fold(_event(action, row) for row in story).values()
    return found


def _event(action: ActionId, row: Row) -> Event:
    return Event(
        kind=_KINDS[row.kind],
        at_us=row.at_us or 0,
        action_id=action,
        parent_id=None if row.parent_id is None else ActionId(row.parent_id),
        attempt=row.attempt or 0,
        task=row.task or "",
        phase=_PHASES.get(row.status),
        cache_key=row.cache_key,
        inputs=row.inputs,
        outputs=row.outputs,
        error=row.error,
        attrs=row.attrs,
    )
