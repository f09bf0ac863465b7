"""Frames of all libraries, and how a table becomes one of them.

All libraries that this room meets are loaded when a table is opened as theirs. polars' lazy frames
and DuckDB's relations read from the files themselves, when they are asked, and only what they are
asked for. Other libraries join with `register_frame`, by themselves or in an adapter.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from flyte_ray.codec.builtin import default_registry
from flyte_ray.io.places import arrow
from flyte_ray.io.tables import TableFiles, check_columns

BATCH_ROWS = 65_536

_LIBRARIES = {
    ("pandas", "DataFrame"): "pandas",
    ("pyarrow", "Table"): "pyarrow",
    ("pyarrow", "RecordBatch"): "pyarrow",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars-lazy",
    ("duckdb", "DuckDBPyRelation"): "duckdb",
    ("_duckdb", "DuckDBPyRelation"): "duckdb",
}
_WRAPPED = ("pandas", "pyarrow", "polars")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registered:
    """What is known of a frame class of another library."""

    from_table: Callable[[Any], Any]
    to_table: Callable[[Any], Any] | None
    from_files: Callable[[TableFiles], Any] | None


_registered: dict[type, _Registered] = {}


def register_frame(
    cls: type,
    from_table: Callable[[Any], Any],
    to_table: Callable[[Any], Any] | None = None,
    from_files: Callable[[TableFiles], Any] | None = None,
) -> None:
    """Let `DataFrame.open(cls)` make a frame of another library.

    Args:
        cls: the frame class.
        from_table: makes one of an Arrow table.
        to_table: the inverse, so that `DataFrame.wrap_df` takes it too.
        from_files: makes one of the files of a table, without reading all of it here.
    """
    _registered[cls] = _Registered(from_table=from_table, to_table=to_table, from_files=from_files)


def library_of(cls: Any) -> str | None:
    """Which library's frame a class is, or None."""
    if not isinstance(cls, type):
        return None
    if cls in _registered:
        return "registered"
    for each in cls.__mro__:
        key = (each.__module__.partition(".")[0], each.__qualname__)
        if key in _LIBRARIES:
            return _LIBRARIES[key]
    # An adapter may know it: it registers the class when it is imported.
    return "registered" if default_registry().load_adapters(cls) and cls in _registered else None


def is_frame(value: Any) -> bool:
    """True for a value that `table_of` takes."""
    library = library_of(type(value))
    if library == "registered":
        return _registered[type(value)].to_table is not None
    return library in _WRAPPED


def table_of(value: Any) -> Any:
    """The Arrow table of a frame."""
    known = _registered.get(type(value))
    if known is not None and known.to_table is not None:
        return known.to_table(value)
    return arrow().to_table(value)


def as_frame_type(type_: Any) -> tuple[type, list[str] | None]:
    """The class and the columns that an annotation names.

    Raises:
        TypeError: it is no frame class that is known.
    """
    selected = arrow().columns_of(type_) if get_origin(type_) is Annotated else None
    cls = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    if library_of(cls) is None:
        raise TypeError(
            f"a DataFrame cannot be opened as {getattr(cls, '__name__', cls)}; use pandas, polars, "
            f"Arrow, DuckDB, or a class that was registered"
        )
    return cls, selected


def expression_of(filters: Any) -> Any:
    """An Arrow expression of `[(column, operator, value)]`, or as it is."""
    if filters is None or not isinstance(filters, list | tuple):
        return filters
    return importlib.import_module("pyarrow.parquet").filters_to_expression(list(filters))


def files_of(
    url: str | None, format_: str, footer: str | None, columns: Sequence[str] | None, filters: Any
) -> TableFiles:
    """The files of a table, and which part of it is asked for.

    Raises:
        ValueError: nobody said where it is.
    """
    if url is None:
        raise ValueError("the DataFrame holds neither a frame nor a uri; use wrap_df")
    return TableFiles(
        url=url,
        format=format_,
        footer=footer,
        columns=None if columns is None else tuple(columns),
        filters=expression_of(filters),
    )


def part_of(frame: Any, columns: Sequence[str] | None, filters: Any) -> Any:
    """The part of a frame in memory that is asked for, as an Arrow table."""
    table = table_of(frame)
    expression = expression_of(filters)
    table = table.filter(expression) if expression is not None else table
    check_columns(table.column_names, columns)
    return table if columns is None else table.select(list(columns))


def pieces_of(source: Any) -> Iterator[Any]:
    """Arrow tables of at most 65,536 rows; only one is in memory at a time.

    Args:
        source: `TableFiles`, or an Arrow table.
    """
    pa = arrow().pa
    found = (
        source.batches(BATCH_ROWS)
        if isinstance(source, TableFiles)
        else source.to_batches(BATCH_ROWS)
    )
    for batch in found:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def open_table(cls: type, table: Any) -> Any:
    """An Arrow table as another frame class."""
    known = _registered.get(cls)
    if known is not None:
        return known.from_table(table)
    library = library_of(cls)
    if library == "polars-lazy":
        return importlib.import_module("polars").from_arrow(table).lazy()
    if library == "duckdb":
        return importlib.import_module("duckdb").from_arrow(table)
    return arrow().from_table(table, cls)


def open_files(cls: type, files: TableFiles) -> Any:
    """Files of a table as another frame class; lazily, where the library reads lazily."""
    known = _registered.get(cls)
    if known is not None and known.from_files is not None:
        return known.from_files(files)
    library = library_of(cls)
    if library == "polars-lazy":
        polars = importlib.import_module("polars")
        lazy = polars.scan_pyarrow_dataset(_filtered(files))
        return lazy if files.columns is None else lazy.select(list(files.columns))
    if library == "duckdb":
        relation = importlib.import_module("duckdb").from_arrow(_filtered(files))
        if files.columns is None:
            return relation
        return relation.project(", ".join('"' + c.replace('"', '""') + '"' for c in files.columns))
    return open_table(cls, files.table())


def _filtered(files: TableFiles) -> Any:
    dataset = files.dataset()
    return dataset if files.filters is None else dataset.filter(files.filters)
