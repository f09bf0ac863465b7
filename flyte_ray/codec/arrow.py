"""The codec of tables: Parquet for Arrow tables, pandas and polars frames.

Loaded when one of these libraries is. The digest is over schema and content as an IPC stream of one
chunk, so the same table has the same digest in whichever library it lives. Of its metadata counts
what changes the value that is handed out: what an author wrote there, and what pandas says of an
index, of labels or of dtypes that are not those that it makes of a bare table. Parquet is what is
stored: a third of the bytes, and readable by every SQL engine.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import pickle
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from flyte_ray.codec.classes import LeafForm
from flyte_ray.codec.codec import (
    Encoded,
    Form,
    Forms,
    Mismatch,
    Node,
    Traits,
    Unserializable,
    Writer,
    type_name,
)
from flyte_ray.codec.said_by_pandas import said_by_pandas
from flyte_ray.core.digest import Digest, canonical_json
from flyte_ray.core.ports import Part

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
REFERENCE = "dataframe"
"""The codec of `io.DataFrame`."""
ROW_GROUP_ROWS = 128 * 1024
"""Rows that are skipped, or read, together."""
DICTIONARY_BYTES = 128 * 1024
"""Larger dictionaries do not pay. By default they may hold every number of a row group once: then
columns of all different ones take a third more bytes, and two and a half times as long to write."""
_SLACK_BYTES = 4096
"""By so much a column's buffers may be larger than what they hold."""
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
    sink.sha.update(b"table\n" + _said_beside(table).encode() + b"\n")
    bare = _wide(table.replace_schema_metadata(None)).unify_dictionaries().combine_chunks()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), bare.schema) as stream:
        stream.write_table(bare)
    return sink.sha.hexdigest()


def _wide(table: pa.Table) -> pa.Table:
    """The table with one kind of text column: libraries differ in the width of offsets only."""
    fields = [field.with_type(_WIDE.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)) if fields != list(table.schema) else table


def _said_beside(table: pa.Table) -> str:
    """What the metadata says beyond columns and rows; nothing for most tables."""
    metadata = dict(table.schema.metadata or {})
    said = said_by_pandas(metadata.pop(b"pandas", None), table)
    metadata.pop(b"ARROW:schema", None)  # Parquet's own
    if metadata:
        said["metadata"] = {k.decode("latin-1"): v.decode("latin-1") for k, v in metadata.items()}
    if said.keys() == {"index"}:
        return canonical_json(said["index"])
    return canonical_json(said) if said else ""


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
            dictionary_pagesize_limit=DICTIONARY_BYTES,
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
        wanted = None if columns is None else known_columns(columns, file.schema_arrow.names)
        return file.read(columns=wanted)


def known_columns(columns: Sequence[str], have: Sequence[str]) -> list[str]:
    """The columns that are asked for. Raises `ValueError` for one that is not there."""
    if missing := [name for name in columns if name not in have]:
        names = ", ".join(map(repr, missing))
        raise ValueError(f"the table has no column {names}; its columns are {list(have)}")
    return list(columns)


class TableCodec:
    """Parquet files."""

    name = "parquet"
    lies_in_place = False

    def accepts(self, type_: Any) -> bool:
        return frame_class(type_) is not None

    def encode(self, value: Any, type_: Any) -> Encoded:
        table = to_table(value)
        name, digest = type_name(type(value)), table_digest(table)

        def written() -> Encoded:
            sink = pa.BufferOutputStream()
            to_parquet(table, sink)
            parts = (memoryview(sink.getvalue()),)
            return Encoded(digest=digest, type=name, parts=parts, share=share)

        def share() -> tuple[Part, ...] | None:
            # What was used for writing: else as much again as the table, until Arrow needs it.
            pa.default_memory_pool().release_unused()
            return self.share(table)

        return Encoded(digest=digest, type=name, later=written)

    def decode(self, data: bytes | memoryview, type_: Any) -> Any:
        return from_table(read_parquet(pa.BufferReader(data), columns_of(type_)), type_)

    def share(self, value: Any) -> tuple[Part, ...] | None:
        table = to_table(value)
        return _shared(table) if _survives(table.schema) else None

    def adopt(self, parts: Sequence[memoryview], type_: Any) -> Any:
        pickled, *buffers = parts
        table = pickle.loads(pickled, buffers=[each.toreadonly() for each in buffers])
        columns = columns_of(type_)
        if columns is not None:
            table = table.select(known_columns(columns, table.column_names))
        return from_table(table, type_)

    def traits(self, value: Any, type_: Any = None, data: Part | None = None) -> Traits | None:
        if not isinstance(value, pa.Table | pa.RecordBatch) or columns_of(type_) is not None:
            return None  # pandas and polars frames can be changed in place
        if data is not None and not _is_as_written(value, data):
            return None
        return Traits()


def _survives(schema: pa.Schema) -> bool:
    """True if a table of these columns comes out of Parquet with the same ones.

    Where it does not (times in seconds become milliseconds), what is read has another digest too.
    """
    sink = pa.BufferOutputStream()
    to_parquet(schema.empty_table(), sink)
    return bool(pq.read_schema(pa.BufferReader(sink.getvalue())).equals(schema))


def _is_as_written(table: pa.Table, data: Any) -> bool:
    """True if the table that was read from this Parquet has the columns of the one written."""
    said = (pq.read_metadata(pa.BufferReader(data)).metadata or {}).get(b"ARROW:schema")
    if said is None:
        return False
    written = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(said)))
    return bool(written.equals(table.schema))


def _shared(table: pa.Table) -> tuple[Part, ...]:
    """A pickle, and the buffers of the columns; of a slice of a larger table, only its rows."""
    if table.get_total_buffer_size() > table.nbytes + len(table.schema) * _SLACK_BYTES:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        table = pa.ipc.open_stream(sink.getvalue()).read_all()
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(table, protocol=5, buffer_callback=buffers.append)
    return (pickled, *(each.raw() for each in buffers))


TABLES = TableCodec()
CODECS = (TABLES,)


class FrameForm(LeafForm):
    """A frame class: any library's frame will do, and arrives as the one that is annotated.

    So will a reference to a table (`io.DataFrame`), which is read where it arrives.
    """

    def dump(self, value: Any, writer: Writer) -> Node:
        if is_frame(value):
            return writer.leaf(self.codec, value, self.type_)
        if getattr(value, "__flyte_codec__", None) != REFERENCE:
            raise Mismatch(self.name, value)
        return writer.embed(REFERENCE, value.__flyte_encode__(writer))


def form_of(type_: Any, forms: Forms) -> Form | None:
    """The form of a frame class; None for all others."""
    cls = frame_class(type_)
    return None if cls is None else FrameForm(TABLES, type_, cls)
