"""The actions of a run as lines of a list: filtered and cut in columns, not one by one.

From `actions.parquet` where the run has ended and been compacted, else from its book folded now.
Only the columns that a filter needs are read of all rows, the rest of those that are shown; so a
page of a million actions costs a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.columns import pc
from flyte_ray.store.schemas import ACTIONS
from flyte_ray.store.tables import fitted, lists

_SHOWN = (
    "action_id",
    "parent_id",
    "name",
    "task",
    "kind",
    "status",
    "cached",
    "attempt_count",
    "submitted_at",
    "started_at",
    "ended_at",
    "error_type",
    "error_message",
)
_SHOWN_SCHEMA = pa.schema([ACTIONS.field(name) for name in _SHOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFilter:
    """Which actions are wanted; what is None does not matter."""

    phase: ActionPhase | None = None
    task: str | None = None
    """Full or short name of the task."""
    parent: str | None = None
    kind: str | None = None
    cached: bool | None = None
    text: str | None = None
    """Stands in the name or in the error's message."""

    @property
    def columns(self) -> list[str]:
        """The columns it looks at."""
        used = {
            "status": self.phase,
            "task": self.task,
            "parent_id": self.parent,
            "kind": self.kind,
            "cached": self.cached,
            "name": self.text,
            "error_message": self.text,
        }
        return [name for name, wish in used.items() if wish is not None]

    def matches(self, table: pa.Table) -> Any:
        """A mask over the rows of a table that has `columns`; None for all."""
        masks = []
        if self.phase is not None:
            masks.append(pc.equal(table.column("status"), self.phase.value))
        if self.task is not None:
            task = table.column("task")
            short = pc.ends_with(task, f".{self.task}")
            masks.append(pc.or_(pc.equal(task, self.task), short))
        for name, wish in (
            ("parent_id", self.parent),
            ("kind", self.kind),
            ("cached", self.cached),
        ):
            if wish is not None:
                masks.append(pc.equal(table.column(name), wish))
        if self.text is not None:
            found = [
                pc.fill_null(pc.match_substring(table.column(name), self.text), False)
                for name in ("name", "error_message")
            ]
            masks.append(pc.or_(*found))
        mask = None
        for each in masks:
            mask = each if mask is None else pc.and_(mask, each)
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionLine:
    """What a list shows of an action."""

    action_id: ActionId
    parent_id: ActionId | None
    name: str
    task: str
    kind: str
    phase: ActionPhase
    cached: bool
    attempts: int
    submitted_us: int | None
    started_us: int | None
    ended_us: int | None
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPage:
    """Some of the actions that match."""

    lines: Sequence[ActionLine]
    total: int
    """How many match in all."""


class ActionsFile:
    """The bytes of an `actions.parquet`, read column by column."""

    def __init__(self, data: bytes) -> None:
        self._file = pq.ParquetFile(pa.BufferReader(data))

    def page(self, wanted: ActionFilter, limit: int | None, offset: int) -> ActionPage:
        """The matching actions, parents before children, from the `offset`th on."""
        total, rows = self._matching(wanted)
        rows = rows[offset : None if limit is None else offset + limit]
        shown = self._rows(rows, [name for name in _SHOWN if name in self._names])
        return ActionPage(lines=_lines(shown), total=total)

    @property
    def _names(self) -> list[str]:
        names: list[str] = self._file.schema_arrow.names
        return names

    def _matching(self, wanted: ActionFilter) -> tuple[int, Sequence[int]]:
        if not wanted.columns:
            count = self._file.metadata.num_rows
            return count, range(count)
        mask = wanted.matches(self._file.read(columns=wanted.columns))
        rows = pc.indices_nonzero(mask).to_numpy()
        return len(rows), rows.tolist()

    def _rows(self, rows: Sequence[int], columns: list[str]) -> pa.Table:
        """These rows (sorted), from the row groups that hold them."""
        taken = []
        start = number = 0
        for group in range(self._file.num_row_groups):
            end = start + self._file.metadata.row_group(group).num_rows
            here = []
            while number < len(rows) and rows[number] < end:
                here.append(rows[number] - start)
                number += 1
            if here:
                table = self._file.read_row_group(group, columns=columns)
                whole = len(here) == table.num_rows
                taken.append(table if whole else table.take(pa.array(here, pa.int64())))
            start = end
        return pa.concat_tables(taken) if taken else _SHOWN_SCHEMA.empty_table()


def page_of(table: pa.Table, wanted: ActionFilter, limit: int | None, offset: int) -> ActionPage:
    """The same of a table in memory."""
    mask = wanted.matches(table)
    found = table if mask is None else table.filter(mask)
    return ActionPage(lines=_lines(found.slice(offset, limit)), total=found.num_rows)


def _lines(table: pa.Table) -> list[ActionLine]:
    columns = lists(fitted(table, _SHOWN_SCHEMA), _SHOWN_SCHEMA)
    return [
        ActionLine(
            action_id=ActionId(action),
            parent_id=None if parent is None else ActionId(parent),
            name=name or "",
            task=task or "",
            kind=kind or "task",
            phase=ActionPhase(status),
            cached=bool(cached),
            attempts=attempts or 0,
            submitted_us=submitted,
            started_us=started,
            ended_us=ended,
            error_type=error_type,
            error_message=message,
        )
        for (
            action,
            parent,
            name,
            task,
            kind,
            status,
            cached,
            attempts,
            submitted,
            started,
            ended,
            error_type,
            message,
        ) in zip(*(columns[name] for name in _SHOWN), strict=True)
    ]
