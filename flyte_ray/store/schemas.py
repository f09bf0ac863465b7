"""The tables of the record as versioned Arrow schemas.

Two tables are written in this release: the book (`LOG`) and the cache entries (`CACHE_ENTRIES`).
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
