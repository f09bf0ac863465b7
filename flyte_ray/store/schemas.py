"""The tables of the record as versioned Arrow schemas.

While a run goes on its book is written (`LOG`); when it has ended, what the book came to:
`ACTIONS`, `EDGES` and one row of `RUNS`. `CACHE_ENTRIES` belong to the store. docs/record.md says
what each column means to a reader.

Rule for every change: nullable columns are added at the end; none is ever renamed, retyped or given
another meaning. Readers take columns by name, fill in those that an older release did not write and
pass over those that a newer one added. A change that this cannot carry raises the version, and the
reader of the old one stays.

The version stands in each file's key-value metadata under `flyte_ray.schema`.
"""

from __future__ import annotations

import pyarrow as pa

VERSION_KEY = "flyte_ray.schema"

LOG_VERSION = 1
LOG = pa.schema(
    [
        ("slot", pa.int64()),  # number of the segment: the order of the book
        ("epoch", pa.int32()),  # which owner wrote it
        ("kind", pa.string()),  # EventKind
        ("happened_at", pa.timestamp("us", tz="UTC")),  # `at` is a reserved word of DuckDB 2
        ("action_id", pa.string()),
        ("parent_id", pa.string()),
        ("attempt", pa.int32()),
        ("task", pa.string()),
        ("status", pa.string()),  # the action's phase after this event
        ("cache_key", pa.string()),
        ("inputs", pa.string()),  # JSON of the payload
        ("outputs", pa.string()),  # JSON of the payload
        ("error", pa.string()),  # JSON of the error
        ("attrs", pa.string()),  # JSON object: the long tail
    ]
)

CACHE_ENTRIES_VERSION = 1
CACHE_ENTRIES = pa.schema(
    [
        ("key", pa.string()),
        ("created", pa.timestamp("us", tz="UTC")),
        ("run", pa.string()),
        ("action_id", pa.string()),
        ("task", pa.string()),
        ("outputs", pa.string()),  # JSON of the payload
        ("overwrites", pa.bool_()),  # takes the place of every earlier entry
    ]
)

ATTEMPT = pa.struct(
    [
        ("attempt", pa.int32()),
        ("status", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("ended_at", pa.timestamp("us", tz="UTC")),
        ("will_retry", pa.bool_()),
        ("node", pa.string()),
        ("worker", pa.string()),
        ("pid", pa.int32()),
        ("error", pa.string()),  # JSON of the error
        ("logs_key", pa.string()),
    ]
)

ACTIONS_VERSION = 1
ACTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("action_id", pa.string()),
        ("parent_id", pa.string()),
        ("position", pa.int64()),  # order of the first rows: parents before children
        ("name", pa.string()),
        ("task", pa.string()),
        ("kind", pa.string()),  # task, trace, condition
        ("status", pa.string()),
        ("cached", pa.bool_()),
        ("attempt_count", pa.int32()),
        ("submitted_at", pa.timestamp("us", tz="UTC")),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("ended_at", pa.timestamp("us", tz="UTC")),
        ("duration_ms", pa.float64()),
        ("cache_key", pa.string()),
        ("task_identity", pa.string()),
        ("group", pa.string()),
        ("node", pa.string()),
        ("worker", pa.string()),
        ("pid", pa.int32()),
        ("inputs", pa.string()),
        ("outputs", pa.string()),
        ("inputs_sha256", pa.string()),
        ("outputs_sha256", pa.string()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("error", pa.string()),
        ("attrs", pa.string()),
        ("attempts", pa.list_(ATTEMPT)),
    ]
)

EDGES_VERSION = 1
EDGES = pa.schema(
    [
        ("run", pa.string()),
        ("kind", pa.string()),  # data, argument, result, control, cache
        ("src_run", pa.string()),
        ("src_action", pa.string()),
        ("src_name", pa.string()),  # output (argument: input) of the source
        ("src_element", pa.int32()),  # position in a container; null: the whole value
        ("dst_action", pa.string()),
        ("dst_name", pa.string()),  # input (result: output) of the destination
        ("dst_element", pa.int32()),
        ("value_sha256", pa.string()),
        ("src_path", pa.string()),  # of an element: `[3]`, `['key']`, `.field`
        ("dst_path", pa.string()),
    ]
)

RUNS_VERSION = 1
RUNS = pa.schema(
    [
        ("run", pa.string()),
        ("task", pa.string()),
        ("status", pa.string()),
        ("mode", pa.string()),
        ("user", pa.string()),
        ("host", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("ended_at", pa.timestamp("us", tz="UTC")),
        ("epoch", pa.int32()),
        ("action_count", pa.int64()),
        ("succeeded", pa.int64()),
        ("failed", pa.int64()),
        ("cached", pa.int64()),
        ("source_run", pa.string()),
        ("relation", pa.string()),
        ("labels", pa.string()),  # JSON object
        ("inputs", pa.string()),
        ("outputs", pa.string()),
        ("error", pa.string()),
        ("spec", pa.string()),  # run.json
        ("counts", pa.string()),  # JSON object: actions by how they ended
    ]
)
