"""What a book came to, as tables: the rows of `actions.parquet`, `edges.parquet` and the run's own.

Makes tables of records and says where they are; `compaction` decides when they are written. They
are derived data: the book is the truth, and a table whose epoch is not that of the run's end is
passed over by readers (`action_list`).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.digest import json_writer
from flyte_ray.core.ids import ROOT_ACTION, ActionId
from flyte_ray.store.digests import Contents, LookInside, contents_of, look_nowhere
from flyte_ray.store.edges import Edge, edges_of
from flyte_ray.store.fold import ActionRecord, AttemptRecord
from flyte_ray.store.run_file import spec_to_json
from flyte_ray.store.schemas import ACTIONS, ATTEMPT, EDGES, RUNS
from flyte_ray.store.tables import column

EPOCH_KEY = "flyte_ray.epoch"
"""In a table's metadata: the owner under which the run had ended when it was made."""

ELEMENTS_KEY = "flyte_ray.elements"
"""In the metadata of `edges.parquet`, if elements of plain containers were followed for it."""

_MOST_MESSAGE = 2000
_text_of = json_writer(sort_keys=False)


def actions_table(run: str, actions: Mapping[ActionId, ActionRecord]) -> pa.Table:
    """One row per action, parents before children; schema `ACTIONS`."""
    return action_rows(run, 0, list(actions.values()), payloads_of(actions.values()))


def action_rows(
    run: str,
    position: int,
    actions: Sequence[ActionRecord],
    payloads: tuple[Sequence[Contents], Sequence[Contents]],
) -> pa.Table:
    """The rows of some actions, the first of which stands at `position`.

    `payloads`: their inputs, and their outputs.
    """
    rows = [
        _action_row(run, position + number, each, given, returned)
        for number, (each, given, returned) in enumerate(zip(actions, *payloads, strict=True))
    ]
    columns = list(zip(*rows, strict=True)) or [()] * (len(ACTIONS) - 1)
    plain = list(ACTIONS)[:-1]  # all but the attempts
    arrays = [column(each, field.type) for each, field in zip(columns, plain, strict=True)]
    arrays.append(_attempts([each.attempts for each in actions]))
    return pa.Table.from_arrays(arrays, schema=ACTIONS)


def edges_table(
    run: str, actions: Mapping[ActionId, ActionRecord], look_inside: LookInside = look_nowhere
) -> pa.Table:
    """What came from what; schema `EDGES`."""
    return edge_rows(run, list(edges_of(run, actions, look_inside)))


def edge_rows(run: str, edges: Sequence[Edge]) -> pa.Table:
    """The rows of these edges."""
    columns = dict(zip(Edge._fields, zip(*edges, strict=True), strict=False))
    given = [[run] * len(edges) if f.name == "run" else columns.get(f.name, ()) for f in EDGES]
    arrays = [column(each, f.type) for each, f in zip(given, EDGES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EDGES)


def run_row(
    spec: RunSpec, final: Mapping[str, Any], root: ActionRecord | None, actions: int
) -> pa.Table:
    """One row: what a list of runs shows; schema `RUNS`."""
    counts = final.get("counts", {})
    plain = spec_to_json(spec)
    row = {
        "run": spec.name,
        "task": spec.task,
        "status": final.get("status") or final.get("phase"),
        "mode": spec.mode,
        "user": spec.user,
        "host": spec.host,
        "started_at": spec.started_us or None,
        "ended_at": final.get("ended_us"),
        "epoch": final.get("epoch"),
        "action_count": actions,
        "succeeded": counts.get("succeeded"),
        "failed": counts.get("failed"),
        "cached": counts.get("cached"),
        "source_run": spec.source_run,
        "relation": spec.relation,
        "labels": json.dumps(dict(spec.labels)),
        "inputs": spec.inputs.to_json(),
        "outputs": root and root.outputs_json,
        "error": root and root.error,
        "spec": json.dumps(plain, separators=(",", ":")),
        "counts": json.dumps(dict(counts)),
    }
    return pa.Table.from_arrays([column([row[f.name]], f.type) for f in RUNS], schema=RUNS)


def day_of(spec: RunSpec) -> str:
    """The day under which a run is listed, UTC."""
    return datetime.fromtimestamp(spec.started_us / 1e6, UTC).strftime("%Y%m%d")


def root_of(actions: Mapping[ActionId, ActionRecord]) -> ActionRecord | None:
    """The root action, if it has a row."""
    return actions.get(ROOT_ACTION)


def payloads_of(
    actions: Iterable[ActionRecord], look_inside: LookInside = look_nowhere
) -> tuple[list[Contents], list[Contents]]:
    """The inputs, and the outputs, of these actions."""
    pairs = [(each.inputs_json, each.outputs_json) for each in actions]
    given, returned = ([pair[side] for pair in pairs] for side in (0, 1))
    return contents_of(given, look_inside), contents_of(returned, look_inside)


def _action_row(
    run: str, position: int, each: ActionRecord, inputs: Contents, outputs: Contents
) -> tuple[Any, ...]:
    error = json.loads(each.error) if each.error else {}
    last = each.attempts[-1] if each.attempts else None
    duration_ms = None
    if each.started_us and each.ended_us:
        duration_ms = max(0, each.ended_us - each.started_us) / 1000
    return (
        run,
        each.action_id,
        each.parent_id,
        position,
        each.name,
        each.task,
        each.kind,
        each.phase,
        each.cached,
        len(each.attempts),
        each.submitted_us,
        each.started_us,
        each.ended_us,
        duration_ms,
        each.cache_key,
        each.identity or None,
        each.group,
        last and last.node,
        last and last.worker,
        last and last.pid,
        each.inputs_json,
        each.outputs_json,
        None if each.inputs_json is None else inputs.digest,
        None if each.outputs_json is None else outputs.digest,
        error.get("code"),
        str(error["message"])[:_MOST_MESSAGE] if error.get("message") else None,
        each.error,
        _text_of(each.attrs) if each.attrs else None,
    )


def _attempts(attempts: Sequence[Sequence[AttemptRecord]]) -> pa.Array:
    offsets = array("i", [0])
    flat: list[AttemptRecord] = []
    for each in attempts:
        flat.extend(each)
        offsets.append(len(flat))
    fields: dict[str, list[Any]] = {
        "attempt": [each.attempt for each in flat],
        "status": [each.phase for each in flat],
        "started_at": [each.started_us for each in flat],
        "ended_at": [each.ended_us for each in flat],
        "will_retry": [each.will_retry for each in flat],
        "node": [each.node for each in flat],
        "worker": [each.worker for each in flat],
        "pid": [each.pid for each in flat],
        "error": [each.error for each in flat],
        "logs_key": [each.logs_key for each in flat],
    }
    members = [column(fields[field.name], field.type) for field in ATTEMPT]
    structs = pa.StructArray.from_arrays(members, fields=list(ATTEMPT))
    buffers = [None, pa.py_buffer(offsets)]
    return pa.Array.from_buffers(pa.list_(ATTEMPT), len(attempts), buffers, children=[structs])
