"""The codec of tables: Parquet for Arrow tables, pandas and polars frames.

Loaded when one of these libraries is. The digest is over schema and content as an IPC stream of one
chunk, without metadata, so the same table has the same digest in whichever library it lives (a
pandas index that is not the plain 0, 1, 2, … counts). Parquet is what is stored: a third of the
bytes, and readable by every SQL engine.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from flyte_ray.codec.classes import LeafForm
from flyte_ray.codec.codec import Encoded, Form, Forms, Unserializable, type_name
from flyte_ray.core.digest import Digest, canonical_json

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
ROW_GROUP_ROWS = 128 * 1024
"""Rows that are skipped, or read, together."""
_WIDE = {
    pa.string(): pa.large_string(),
    pa.string_view(): pa.large_string(),
    pa.binary(): pa.large_binary(),
    pa.binary_view(): pa.large_binary(),
}
FRAMES = {
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("pandas", "DataFrame"),
    ("polars", "DataFrame"),
}


def frame_class(type_: Any) -> type | None:
    """The frame class that an annotation names, or None."""
    if get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if not isinstance(type_, type):
        return None
    for cls in type_.__mro__:
        if (cls.__module__.partition(".")[0], cls.__qualname__) in FRAMES:
            return cls
    return None


def is_frame(value: Any) -> bool:
    """True for a value that `to_table` takes."""
    return frame_class(type(value)) is not None


def to_table(value: Any) -> pa.Table:
    """An Arrow table of any frame.

    Raises:
        Unserializable: a column holds what Arrow cannot say.
    """
    cls = frame_class(type(value))
    if cls is None:
        raise TypeError(f"{type_name(type(value))} is no table")
    try:
        if cls.__module__.startswith("pandas"):
            return pa.Table.from_pandas(value)
        if cls.__module__.startswith("polars"):
            return value.to_arrow()
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise Unserializable(value, f"it is no Arrow table: {error}") from error
    return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value


def from_table(table: pa.Table, type_: Any) -> Any:
    """The table as the frame class that an annotation names; an Arrow table by default."""
    cls = frame_class(type_)
    library = "pyarrow" if cls is None else cls.__module__.partition(".")[0]
    if library == "pandas":
        return table.to_pandas()
    if library == "polars":
        return importlib.import_module("polars").from_arrow(table)
    if cls is not None and cls.__qualname__ == "RecordBatch":
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return table


class _HashingSink:
    """A file that keeps the digest of what is written to it, and nothing else."""

    closed = False

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


def table_digest(table: pa.Table) -> Digest:
    """The digest of a table's content; equal for equal tables, however they are chunked."""
    sink = _HashingSink()
    sink.sha.update(b"table\n" + _index_of(table).encode() + b"\n")
    bare = _wide(table.replace_schema_metadata(None)).unify_dictionaries().combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), bare.schema) as stream:
        stream.write_table(bare)
    return sink.sha.hexdigest()


def _wide(table: pa.Table) -> pa.Table:
    """The table with one kind of text column: libraries differ in the width of offsets only."""
    fields = [field.with_type(_WIDE.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)) if fields != list(table.schema) else table


def _index_of(table: pa.Table) -> str:
    """What pandas says of its index, or nothing for the plain one that every frame has."""
    metadata = (table.schema.metadata or {}).get(b"pandas")
    if metadata is None:
        return ""
    index = json.loads(metadata).get("index_columns", [])
    plain = [{"kind": "range", "name": None, "start": 0, "stop": table.num_rows, "step": 1}]
    return "" if index == plain or not index else canonical_json(index)


def to_parquet(table: pa.Table, sink: Any) -> None:
    """Write a table.

    Raises:
        Unserializable: a column has a type that Parquet lacks; the message names it.
    """
    try:
        pq.write_table(
            table,
            sink,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            row_group_size=ROW_GROUP_ROWS,
            # So that a part of the table can be trusted without reading the rest (`io/tables`).
            write_page_checksum=True,
        )
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Unserializable(table, _what_parquet_lacks(table.schema, error)) from error


def _what_parquet_lacks(schema: pa.Schema, error: Exception) -> str:
    for field in schema:
        alone = pa.schema([field])
        try:
            pq.write_table(alone.empty_table(), pa.BufferOutputStream())
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
            return f"column '{field.name}' has the type {field.type}, which Parquet lacks"
    return f"Parquet cannot hold it: {error}"


def columns_of(type_: Any) -> list[str] | None:
    """The columns that `Annotated[pd.DataFrame, {...}]` (or a schema, or a dataclass) selects."""
    if get_origin(type_) is not Annotated:
        return None
    for note in get_args(type_)[1:]:
        if isinstance(note, dict):
            return [str(name) for name in note]
        if isinstance(note, pa.Schema):
            return list(note.names)
        if isinstance(note, type) and is_dataclass(note):
            return list(get_type_hints(note))
    return None


def read_parquet(source: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or the named columns of it.

    Raises:
        ValueError: there is no such column, or this is no Parquet file.
    """
    try:
        file = pq.ParquetFile(source)
    except pa.ArrowInvalid as error:
        raise ValueError(f"this is no Parquet file: {error}") from error
    with file:
        have = file.schema_arrow.names
        if missing := [name for name in columns or () if name not in have]:
            names = ", ".join(map(repr, missing))
            raise ValueError(f"the table has no column {names}; its columns are {have}")
        return file.read(columns=list(columns) if columns is not None else None)


class TableCodec:
    """Parquet files."""

    name = "parquet"

    def accepts(self, type_: Any) -> bool:
        return frame_class(type_) is not None

    def encode(self, value: Any, type_: Any) -> Encoded:
        table = to_table(value)
        sink = pa.BufferOutputStream()
        to_parquet(table, sink)
        return Encoded(
            digest=table_digest(table),
            type=type_name(type(value)),
            parts=(memoryview(sink.getvalue()),),
        )

    def decode(self, data: bytes, type_: Any) -> Any:
        return from_table(read_parquet(pa.BufferReader(data), columns_of(type_)), type_)


TABLES = TableCodec()
CODECS = (TABLES,)


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of a frame class; None for all others."""
    cls = frame_class(type_)
    return None if cls is None else LeafForm(TABLES, type_, cls)
