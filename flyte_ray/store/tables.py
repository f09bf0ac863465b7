"""A small table as the bytes of one Parquet file, and back: the form of every small object.

Parquet from the first row on, so that DuckDB, Polars and pyarrow read a run in progress. Few rows
are written plain (0.3 ms, about 20 µs a column); from 64 rows on zstd and dictionaries pay.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.lib import StringBuilder

from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store.schemas import VERSION_KEY

_ROWS_WORTH_COMPRESSING = 64
_MACHINE_TYPES = {
    pa.int64(): "q",
    pa.int32(): "i",
    pa.timestamp("us", tz="UTC"): "q",
}
"""Columns that are written as they lie in memory, by the type code of `array`."""


def to_parquet(columns: Mapping[str, Sequence[Any]], schema: pa.Schema, version: int) -> bytes:
    """The file. `columns`: one sequence per field of the schema, times as microseconds."""
    arrays = [_array(columns[field.name], field.type) for field in schema]
    many = len(arrays[0]) >= _ROWS_WORTH_COMPRESSING
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd" if many else "none",
        use_dictionary=many,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({VERSION_KEY: str(version)})
    return bytes(sink.getvalue())


def from_parquet(data: bytes, schema: pa.Schema, version: int) -> dict[str, list[Any]]:
    """The columns of the schema; those that the file lacks are None throughout.

    Raises:
        StoreError: the bytes are no whole Parquet file.
        ConfigurationError: a newer release wrote them.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        metadata = file.metadata.metadata or {}
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"not a whole Parquet file ({error})") from error
    written = int(metadata.get(VERSION_KEY.encode(), b"1"))
    if written > version:
        raise ConfigurationError(
            f"the store's files were written by a newer release (schema {written}, this one reads"
            f" {version}): upgrade flyte-ray"
        )
    present = set(table.column_names)
    return {
        field.name: _values(table.column(field.name))
        if field.name in present
        else [None] * table.num_rows
        for field in schema
    }


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The column.

    `pa.array` would import pandas, where it is installed, to look for its types: 0.3 s at the
    first row of every process.
    """
    if pa.types.is_string(kind):
        return _strings(values)
    code = _MACHINE_TYPES.get(kind)
    if code is None or None in values:
        return pa.array(values, kind)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array(code, values))])


def _strings(values: Sequence[str | None]) -> pa.Array:
    builder = StringBuilder()
    try:
        builder.append_values(values)
    except UnicodeEncodeError:
        # Lone surrogates, say from a file name in an error: written as \udcXX, valid inside JSON.
        builder = StringBuilder()
        builder.append_values([None if v is None else _encodable(v) for v in values])
    return builder.finish()


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # As microseconds: a datetime per row would cost more than the whole file.
        column = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values
