"""The last folding of a run: its book becomes a few parts, and the tables of docs/record.md.

The book is read once, from its parts and slots, and nothing of it is held whole: parts are written
as their rows have gone by, and the tables are told some thousand actions at a time (`by_action`).
What grows with the number of actions are two numbers and an id each, half a kilobyte in all.

Nothing here decides whether a run has ended, or what to do about files that vanish: `compaction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.by_action import RowsByAction
from flyte_ray.store.collector import collector_paused
from flyte_ray.store.digests import LookInside, look_nowhere
from flyte_ray.store.edges import Edge, EdgeFinder
from flyte_ray.store.final_tables import (
    ELEMENTS_KEY,
    EPOCH_KEY,
    action_rows,
    day_of,
    edge_rows,
    payloads_of,
    run_row,
)
from flyte_ray.store.fold import ActionRecord
from flyte_ray.store.parts import Piece, Range, groups_of, list_slots, put_part, read_pieces
from flyte_ray.store.run_file import read_run
from flyte_ray.store.schemas import (
    ACTIONS,
    ACTIONS_VERSION,
    EDGES,
    EDGES_VERSION,
    RUNS_VERSION,
)
from flyte_ray.store.tables import TableWriter, write_table

EDGES_A_TURN = 50_000


def write_ending(
    blobs: Blobs,
    run: RunName,
    final: Mapping[str, Any],
    parts: list[Range],
    look_inside: LookInside,
) -> int:
    """Write the parts and tables of an ended run; how many parts. The run's own row comes last.

    `parts`: those there are, none inside another.

    Raises:
        FileNotFoundError: a part or slot has been taken away meanwhile: begin again.
        StoreError: the book is damaged, or the store is away.
    """
    spec = read_run(blobs, run)
    mark = {EPOCH_KEY: str(final["epoch"])}
    edge_mark = mark if look_inside is look_nowhere else {**mark, ELEMENTS_KEY: "1"}
    written = 0
    with ExitStack() as stack:
        rows = stack.enter_context(RowsByAction())
        for group in groups_of(_told(blobs, run, parts, rows)):
            block = (group[0].first, group[-1].last)
            if block not in parts and block[0] != block[1]:
                parts = put_part(blobs, run, group, parts)
                written += 1
        actions = stack.enter_context(TableWriter(ACTIONS, ACTIONS_VERSION, mark))
        edges = stack.enter_context(TableWriter(EDGES, EDGES_VERSION, edge_mark))
        root = _write_tables(run, rows, (actions, edges), look_inside)
        blobs.put(layout.edges_table(run), edges.finish())
        blobs.put(layout.actions_table(run), actions.finish())
        summary = write_table(run_row(spec, final, root, len(rows.places)), RUNS_VERSION, mark)
        blobs.put(layout.run_summary(run, day_of(spec)), summary)
    return written


def _told(blobs: Blobs, run: RunName, parts: list[Range], rows: RowsByAction) -> Iterator[Piece]:
    """The whole book in order; its rows are taken in as they pass by."""
    for piece in read_pieces(blobs, run, list_slots(blobs, run), parts):
        rows.add(piece.rows.table)
        yield piece


def _write_tables(
    run: RunName,
    rows: RowsByAction,
    tables: tuple[TableWriter, TableWriter],
    look_inside: LookInside,
) -> ActionRecord | None:
    """Tell every action; the root, if it has a row."""
    finder = EdgeFinder(run, rows.places, rows.parents)
    root = None
    position = 0
    for told in rows.actions():
        with collector_paused():
            payloads = payloads_of(told, look_inside)
            tables[0].write(action_rows(run, position, told, payloads))
            found: list[Edge] = []
            for action, inputs, outputs in zip(told, *payloads, strict=True):
                found.extend(finder.edges_of(action, inputs, outputs))
                if action.action_id == ROOT_ACTION:
                    root = action
                if len(found) >= EDGES_A_TURN:
                    tables[1].write(edge_rows(run, found))
                    found = []
            tables[1].write(edge_rows(run, found))
        position += len(told)
    return root
