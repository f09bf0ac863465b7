"""What a book came to, as tables: the rows of `actions.parquet`, `edges.parquet` and the run's own.

Makes tables of records and says where they are; `compaction` decides when they are written. They
are derived data: the book is the truth, and a table whose epoch is not that of the run's end is
passed over by readers (`action_list`).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.digest import digest_json
from flyte_ray.core.facts import text_of_facts
from flyte_ray.core.ids import ROOT_ACTION, ActionId
from flyte_ray.store.edges import Digests, Payloads, edges_of, read_payloads
from flyte_ray.store.fold import ActionRecord, AttemptRecord
from flyte_ray.store.run_file import spec_to_json
from flyte_ray.store.schemas import ACTIONS, ATTEMPT, EDGES, RUNS
from flyte_ray.store.tables import column

EPOCH_KEY = "flyte_ray.epoch"
"""In a table's metadata: the owner under which the run had ended when it was made."""

_MOST_MESSAGE = 2000


def actions_table(
    run: str, actions: Mapping[ActionId, ActionRecord], payloads: Payloads | None = None
) -> pa.Table:
    """One row per action, parents before children; schema `ACTIONS`."""
    payloads = read_payloads(actions) if payloads is None else payloads
    rows = [
        _action_row(run, position, each, payloads[each.action_id])
        for position, each in enumerate(actions.values())
    ]
    plain = list(ACTIONS)[:-1]  # all but the attempts
    arrays = [
        column([row[number] for row in rows], field.type) for number, field in enumerate(plain)
    ]
    arrays.append(_attempts([each.attempts for each in actions.values()]))
    return pa.Table.from_arrays(arrays, schema=ACTIONS)


def edges_table(
    run: str, actions: Mapping[ActionId, ActionRecord], payloads: Payloads | None = None
) -> pa.Table:
    """What came from what; schema `EDGES`."""
    edges = list(edges_of(run, actions, payloads))
    columns: dict[str, list[Any]] = {"run": [run] * len(edges)}
    for field in EDGES:
        if field.name != "run":
            columns[field.name] = [getattr(edge, field.name) for edge in edges]
    return pa.Table.from_arrays([column(columns[f.name], f.type) for f in EDGES], schema=EDGES)


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
    }
    return pa.Table.from_arrays([column([row[f.name]], f.type) for f in RUNS], schema=RUNS)


def day_of(spec: RunSpec) -> str:
    """The day under which a run is listed, UTC."""
    return datetime.fromtimestamp(spec.started_us / 1e6, UTC).strftime("%Y%m%d")


def root_of(actions: Mapping[ActionId, ActionRecord]) -> ActionRecord | None:
    """The root action, if it has a row."""
    return actions.get(ROOT_ACTION)


def _action_row(
    run: str, position: int, each: ActionRecord, payloads: tuple[Digests, Digests]
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
        each.phase.value,
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
        None if each.inputs_json is None else _digest(payloads[0]),
        None if each.outputs_json is None else _digest(payloads[1]),
        error.get("code"),
        str(error["message"])[:_MOST_MESSAGE] if error.get("message") else None,
        each.error,
        text_of_facts(each.attrs) if each.attrs else None,
    )


def _digest(values: Digests) -> str:
    """`Payload.digest`, without making values of what is only hashed."""
    return digest_json({name: digest for name, digest, _ in values.whole})


def _attempts(attempts: Sequence[Sequence[AttemptRecord]]) -> pa.Array:
    offsets = array("i", [0])
    flat: list[AttemptRecord] = []
    for each in attempts:
        flat.extend(each)
        offsets.append(len(flat))
    fields: dict[str, list[Any]] = {
        "attempt": [each.attempt for each in flat],
        "status": [each.phase.value for each in flat],
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
    starts = pa.Array.from_buffers(pa.int32(), len(offsets), [None, pa.py_buffer(offsets)])
    return pa.ListArray.from_arrays(starts, structs).cast(pa.list_(ATTEMPT))
