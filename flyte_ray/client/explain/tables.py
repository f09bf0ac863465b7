"""The record as six Arrow tables: runs, actions, attempts, edges, cache, artifacts.

Finished runs come from their compacted tables, runs in progress from their books as they stand, so
every table may be asked at any time. Columns are those of `store/schemas` (docs/record.md); what is
not stored as a table of its own (attempts, artifacts) is made of the others.

Cost: one table is read per run; `runs` limits which. Nothing is cached between calls.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flyte_ray.client.explain.origins import Edge, Place, edges_of
from flyte_ray.codec.insides import Insides
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunNotFoundError, StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.cache_compaction import level_0_files
from flyte_ray.store.cache_entries import Entry, decode_entries, take_in
from flyte_ray.store.cache_manifest import read_manifest
from flyte_ray.store.cache_tiers import read_tier
from flyte_ray.store.catalog import Catalog, RunRecord
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.run_file import spec_to_json
from flyte_ray.store.schemas import ACTIONS, ATTEMPT, CACHE_ENTRIES, EDGES, RUNS
from flyte_ray.store.summaries import read_summaries
from flyte_ray.store.values import RunValues

logger = logging.getLogger(__name__)

MOST_LOOKED_INTO = 20_000
"""Runs of older releases: edges of elements are worked out for those of up to so many actions."""
_EDGE_ENDS = ("src_action", "src_name", "src_element", "dst_action", "dst_name", "dst_element")
VIEWS = ("runs", "actions", "attempts", "edges", "cache", "artifacts")

ATTEMPTS = pa.schema([("run", pa.string()), ("action_id", pa.string()), ("task", pa.string())])
for _field in ATTEMPT:
    ATTEMPTS = ATTEMPTS.append(_field)

ARTIFACTS = pa.schema(
    [
        ("run", pa.string()),
        ("action_id", pa.string()),
        ("task", pa.string()),
        ("name", pa.string()),  # of the output
        ("type", pa.string()),
        ("codec", pa.string()),
        ("sha256", pa.string()),  # digest of the content
        ("size_bytes", pa.int64()),
        ("key", pa.string()),  # object below the store's root; null: inline, or elsewhere
        ("uri", pa.string()),  # of files, folders and frames
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""Outputs worth a name of their own: files, folders, frames, arrays, models, large values."""


class RecordTables:
    """The tables of one store. `runs`: names of the runs that count; None for all."""

    def __init__(self, blobs: Blobs, runs: Sequence[str] | None = None) -> None:
        self._blobs = blobs
        self._catalog = Catalog(blobs)
        self._chosen = runs
        self._names: list[str] | None = None
        self._actions: pa.Table | None = None

    def table(self, view: str) -> pa.Table:
        """The table of that view (see `VIEWS`), as the store has it now."""
        make: Callable[[], pa.Table] = getattr(self, f"_{view}_table")
        return make()

    def _run_names(self) -> list[str]:
        if self._names is None:
            if self._chosen is None:
                self._names = [record.name for record in self._catalog.runs(None)]
            else:
                self._names = [self._catalog.spec(name).name for name in self._chosen]
        return self._names

    def _of_runs(self, read: Callable[[str], pa.Table], schema: pa.Schema) -> pa.Table:
        def one(name: str) -> pa.Table:
            try:
                return read(name)
            except RunNotFoundError:
                return schema.empty_table()  # removed since the list was made
            except StoreError as error:
                if self._chosen is not None:
                    raise
                self._blobs.list(layout.log(RunName(name)))  # fails too, if the store is away
                logger.warning("run %s is left out: %s", name, error)
                return schema.empty_table()

        tables = in_parallel(self._blobs, one, self._run_names())
        return pa.concat_tables([schema.empty_table(), *tables])

    def _runs_table(self) -> pa.Table:
        if self._chosen is None:
            records = self._catalog.runs(None)
        else:
            records = [self._catalog.run(name) for name in self._chosen]
        ends = read_summaries(self._blobs)
        rows = [{**_run_row(record), **_ending(record, ends)} for record in records]
        return _from_rows(rows, RUNS)

    def _actions_table(self) -> pa.Table:
        if self._actions is None:
            self._actions = self._of_runs(self._catalog.action_table, ACTIONS)
        return self._actions

    def _edges_table(self) -> pa.Table:
        return self._of_runs(self._edges_of_run, EDGES)

    def _edges_of_run(self, run: str) -> pa.Table:
        """The edges; of runs that an older release folded those of elements are added."""
        inside = Insides(RunValues(self._blobs, RunName(run)))
        stored = self._catalog.edge_table(run, inside)
        if not self._catalog.lacks_elements(run):
            return stored
        if self._catalog.action_table(run, ["action_id"]).num_rows > MOST_LOOKED_INTO:
            return stored
        actions = {str(key): each for key, each in self._catalog.actions(run).items()}
        known = set(zip(*(stored[name].to_pylist() for name in _EDGE_ENDS), strict=True))
        edges = edges_of(run, actions, RunValues(self._blobs, RunName(run)))
        rows = [_edge_row(run, edge) for edge in edges if edge.kind == "data"]
        fresh = [row for row in rows if tuple(row[name] for name in _EDGE_ENDS) not in known]
        return pa.concat_tables([stored, pa.Table.from_pylist(fresh, schema=EDGES)])

    def _attempts_table(self) -> pa.Table:
        actions = self._actions_table().select(["run", "action_id", "task", "attempts"])
        rows = [
            {"run": row["run"], "action_id": row["action_id"], "task": row["task"], **attempt}
            for batch in actions.to_batches(10_000)
            for row in batch.to_pylist()
            for attempt in row["attempts"] or ()
        ]
        return pa.Table.from_pylist(rows, schema=ATTEMPTS)

    def _cache_table(self) -> pa.Table:
        entries: dict[str, Entry] = {}
        manifest = read_manifest(self._blobs)
        for tier in manifest.tiers:
            take_in(entries, read_tier(self._blobs, tier)[0])
        names = [name for name in level_0_files(self._blobs) if name not in manifest.applied]
        for found in in_parallel(self._blobs, self._level_0, names):
            take_in(entries, found)
        chosen = set(self._chosen) if self._chosen is not None else None
        rows = [
            {
                "key": entry.key,
                "created": entry.created_us,
                "run": entry.run,
                "action_id": entry.action_id,
                "task": entry.task,
                "outputs": entry.outputs,
                "overwrites": entry.overwrites,
            }
            for entry in entries.values()
            if chosen is None or entry.run in chosen
        ]
        return _from_rows(rows, CACHE_ENTRIES)

    def _level_0(self, name: str) -> list[Entry]:
        try:
            return decode_entries(self._blobs.get(cache_layout.level_0(name)))
        except FileNotFoundError:
            return []  # folded into a tier just now

    def _artifacts_table(self) -> pa.Table:
        columns = ["run", "action_id", "task", "outputs", "ended_at"]
        actions = self._actions_table().select(columns)
        rows = [
            artifact
            for batch in actions.to_batches(10_000)
            for row in batch.to_pylist()
            for artifact in _artifacts_of(row)
        ]
        return pa.Table.from_pylist(rows, schema=ARTIFACTS)


def _edge_row(run: str, edge: Edge) -> dict[str, Any]:
    source, target = edge.source, edge.target
    kind = "argument" if source.side == "input" else "data"
    return {
        "run": run,
        "kind": "result" if target.side == "output" else kind,
        "src_run": source.run,
        "src_action": source.action,
        "src_name": source.name,
        "src_element": _position(source),
        "dst_action": target.action,
        "dst_name": target.name,
        "dst_element": _position(target),
        "src_path": source.element or None,
        "dst_path": target.element or None,
        "value_sha256": edge.digest,
    }


def _position(place: Place) -> int | None:
    """The number of an element of a list; None for the whole value, and for keys."""
    number = place.element[1:-1]
    return int(number) if number.isdecimal() else None


def _run_row(record: RunRecord) -> dict[str, Any]:
    spec, counts = record.spec, record.counts
    total = counts.get("total")
    return {
        "run": spec.name,
        "task": spec.task,
        "status": record.phase.value,
        "mode": spec.mode,
        "user": spec.user,
        "host": spec.host,
        "started_at": record.started_us or None,
        "ended_at": record.ended_us,
        "epoch": None,
        "action_count": sum(counts.values()) if total is None else total,
        "succeeded": counts.get("succeeded"),
        "failed": counts.get("failed"),
        "cached": counts.get("cached"),
        "source_run": spec.source_run,
        "relation": spec.relation,
        "labels": json.dumps(dict(spec.labels)),
        "inputs": spec.inputs.to_json(),
        "outputs": None,
        "error": record.error,
        "spec": json.dumps(spec_to_json(spec), separators=(",", ":")),
        "counts": json.dumps(dict(counts)),
    }


def _ending(record: RunRecord, ends: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a list of runs does not hold, from the row of an ended run."""
    row = ends.get(record.name)
    if record.ended_us is None or row is None or row["ended_at"] != record.ended_us:
        return {}
    return {name: row[name] for name in ("epoch", "outputs", "error")}


def _from_rows(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = [
        pa.array([row.get(field.name) for row in rows], type=_plain_type(field.type)).cast(
            field.type
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Times are microseconds in our hands."""
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _artifacts_of(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in json.loads(row["outputs"] or "{}").items():
        uri = _uri_of(value)
        if value.get("codec") == "json" and value.get("key") is None and uri is None:
            continue
        yield {
            "run": row["run"],
            "action_id": row["action_id"],
            "task": row["task"],
            "name": name,
            "type": value.get("type"),
            "codec": value.get("codec"),
            "sha256": value.get("digest"),
            "size_bytes": value.get("size"),
            "key": value.get("key"),
            "uri": uri,
            "created_at": row["ended_at"],
        }


def _uri_of(value: dict[str, Any]) -> str | None:
    """Where a file, folder or frame lies: references are small JSON with a path."""
    if value.get("codec") == "json" or value.get("inline") is None:
        return None
    try:
        node = json.loads(value["inline"])
    except ValueError:
        return None
    found = [node.get(each) for each in ("uri", "path")] if isinstance(node, dict) else []
    return next((str(each) for each in found if each), None)
