"""A small table as the bytes of one Parquet file, and back: the form of every small object.

Parquet from the first row on, so that DuckDB, Polars and pyarrow read a run in progress. Few rows
are written plain (0.3 ms, about 20 µs a column); from 64 rows on zstd and dictionaries pay.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.lib import StringBuilder

from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store.schemas import VERSION_KEY

_ROWS_WORTH_COMPRESSING = 64
_ROWS_A_GROUP = 50_000
_BYTES_IN_MEMORY = 16 * 1024 * 1024
_MACHINE_TYPES = {
    pa.int64(): "q",
    pa.int32(): "i",
    pa.float64(): "d",
    pa.timestamp("us", tz="UTC"): "q",
}
"""Columns that are written as they lie in memory, by the type code of `array`."""


def to_parquet(columns: Mapping[str, Sequence[Any]], schema: pa.Schema, version: int) -> bytes:
    """The file. `columns`: one sequence per field of the schema, times as microseconds."""
    arrays = [column(columns[field.name], field.type) for field in schema]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTable:
    """A file as it was read: every column that it has, and what is said of it."""

    table: pa.Table
    version: int
    metadata: Mapping[str, str]


def write_table(table: pa.Table, version: int, metadata: Mapping[str, str]) -> bytes:
    """A large table as one file, with statistics, for readers that look at a few columns or rows.

    `metadata` goes into the file beside the version.
    """
    with TableWriter(table.schema, version, metadata) as writer:
        for start in range(0, max(table.num_rows, 1), _ROWS_A_GROUP):
            writer.write(table.slice(start, _ROWS_A_GROUP))
        return bytes(writer.finish())


class TableWriter:
    """The same piece by piece: each becomes a row group, and only the file so far is kept.

    A file that grows large is kept on disk. A context manager, for that one.
    """

    def __init__(self, schema: pa.Schema, version: int, metadata: Mapping[str, str]) -> None:
        self._file = tempfile.SpooledTemporaryFile(_BYTES_IN_MEMORY)  # noqa: SIM115  closed on exit
        self._mapped: mmap.mmap | None = None
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", store_schema=False)
        self._metadata = {**metadata, VERSION_KEY: str(version)}

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self._writer.write_table(table)

    def finish(self) -> memoryview:
        """The bytes of the whole file, until this writer is closed."""
        self._writer.add_key_value_metadata(self._metadata)
        self._writer.close()
        size = self._file.tell()
        if size <= _BYTES_IN_MEMORY:
            self._file.seek(0)
            return memoryview(self._file.read())
        self._file.flush()
        self._mapped = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return memoryview(self._mapped)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._file.close()


def read_table(data: bytes, version: int, columns: Sequence[str] | None = None) -> StoredTable:
    """The file's columns, or those of `columns` that it has.

    Raises:
        StoreError: the bytes are no whole Parquet file.
        ConfigurationError: a newer release wrote them.
        MemoryError: there is no room to read them, which says nothing of them.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        metadata = {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items()}
        _check_version(metadata, version)
        names = file.schema_arrow.names
        wanted = None if columns is None else [name for name in columns if name in names]
        table = file.read(columns=wanted, use_threads=file.metadata.num_rows > _ROWS_A_GROUP)
    except MemoryError:  # Arrow's is an ArrowException as well
        raise
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"not a whole Parquet file ({error})") from error
    written = int(metadata.get(VERSION_KEY, "1"))
    return StoredTable(table=table, version=written, metadata=metadata)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of the schema; those that it lacks are null throughout."""
    present = set(table.column_names)
    arrays = [
        _as(table.column(field.name), field.type)
        if field.name in present
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)  # a cast loads `pyarrow.compute`


def from_parquet(data: bytes, schema: pa.Schema, version: int) -> dict[str, list[Any]]:
    """The columns of the schema; those that the file lacks are None throughout.

    Raises:
        StoreError: the bytes are no whole Parquet file.
        ConfigurationError: a newer release wrote them.
    """
    return lists(read_table(data, version).table, schema)


def lists(table: pa.Table, schema: pa.Schema) -> dict[str, list[Any]]:
    """The columns of the schema as lists, times as microseconds; see `from_parquet`."""
    present = set(table.column_names)
    return {
        field.name: _values(table.column(field.name))
        if field.name in present
        else [None] * table.num_rows
        for field in schema
    }


def _check_version(metadata: Mapping[str, str], version: int) -> None:
    written = int(metadata.get(VERSION_KEY, "1"))
    if written > version:
        raise ConfigurationError(
            f"the store's files were written by a newer release (schema {written}, this one reads"
            f" {version}): upgrade flyte-ray"
        )


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The column: text, flags, numbers or times (as microseconds), each of which may be None.

    `pa.array` would import pandas, where it is installed, to look for its types: 0.3 s at the
    first row of every process.
    """
    if pa.types.is_string(kind):
        return _strings(values)
    valid = None
    if None in values:
        valid = _bits([value is not None for value in values])
        values = [value or 0 for value in values]
    is_flags = pa.types.is_boolean(kind)
    data = _bits(values) if is_flags else pa.py_buffer(array(_MACHINE_TYPES[kind], values))
    return pa.Array.from_buffers(kind, len(values), [valid, data])


def _bits(flags: Sequence[Any]) -> pa.Buffer:
    """Eight flags a byte, the first one lowest; a cast would load `pyarrow.compute`."""
    digits = "".join(["1" if flag else "0" for flag in reversed(flags)])
    return pa.py_buffer(int(digits or "0", 2).to_bytes(len(flags) // 8 + 1, "little"))


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
        chunks = _as(column, pa.timestamp("us", tz="UTC")).chunks
        return list(chain.from_iterable(each.view(pa.int64()).to_pylist() for each in chunks))
    values: list[Any] = column.to_pylist()
    return values
