"""Reads and writes tables behind a `DataFrame`: Parquet and CSV, whole or in part.

All libraries that this room meets are loaded when a table is opened as theirs. Filters and columns
are pushed down by Arrow's dataset reader. Other libraries join with `register_frame`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, get_args, get_origin

from flyte_ray.io.keeping import is_kept, note_kept
from flyte_ray.io.places import MissingFileError, arrow, base_name, filesystem_of, is_remote, join
from flyte_ray.io.places import local_path as path_of
from flyte_ray.io.transfer import arriving

PARQUET = "parquet"
CSV = "csv"
GENERIC = ""
FRAMES = "frames"
FIRST_FILE = "00000"
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

FromTable = Callable[[Any], Any]
ToTable = Callable[[Any], Any]
_registered: dict[type, tuple[FromTable, ToTable | None]] = {}


def register_frame(cls: type, from_table: FromTable, to_table: ToTable | None = None) -> None:
    """Let `DataFrame.open(cls)` make a frame of another library.

    Args:
        cls: the frame class.
        from_table: makes one of an Arrow table.
        to_table: the inverse, so that `DataFrame.wrap_df` takes it too.
    """
    _registered[cls] = (from_table, to_table)


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
    return None


def is_frame(value: Any) -> bool:
    """True for a value that `table_of` takes."""
    library = library_of(type(value))
    if library == "registered":
        return _registered[type(value)][1] is not None
    return library in _WRAPPED


def table_of(value: Any) -> Any:
    """The Arrow table of a frame."""
    to_table = _registered.get(type(value), (None, None))[1]
    return to_table(value) if to_table is not None else arrow().to_table(value)


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


def _dataset(source: str, format_: str) -> Any:
    """An Arrow dataset over a file or a directory of files."""
    filesystem, path = filesystem_of(source)
    if not filesystem.exists(path):
        raise MissingFileError(f"there is no table at {source}")
    kind = format_ or (CSV if ".csv" in base_name(source).lower() else PARQUET)
    if kind not in (PARQUET, CSV):
        raise ValueError(f"tables are read as {PARQUET} or {CSV}, not as '{kind}'")
    datasets = importlib.import_module("pyarrow.dataset")
    paths: Any = path
    if filesystem.isdir(path):
        # Arrow skips names that begin with "_" or ".": so do we, being explicit about the rest.
        found = sorted(filesystem.find(path))
        paths = [each for each in found if not base_name(each).startswith(("_", "."))]
    try:
        return datasets.dataset(paths, format=kind, filesystem=filesystem)
    except arrow().pa.ArrowInvalid as error:
        raise ValueError(f"{source} cannot be read as {kind}: {error}") from error


def _check_columns(have: Sequence[str], wanted: Sequence[str] | None) -> None:
    if missing := [name for name in wanted or () if name not in have]:
        names = ", ".join(map(repr, missing))
        raise ValueError(f"the table has no column {names}; its columns are {list(have)}")


def _expression(filters: Any) -> Any:
    """An Arrow expression of `[(column, operator, value)]`, or as it is."""
    if filters is None or not isinstance(filters, list | tuple):
        return filters
    return importlib.import_module("pyarrow.parquet").filters_to_expression(list(filters))


def read_table(
    source: Any, format_: str, columns: Sequence[str] | None = None, filters: Any = None
) -> Any:
    """The Arrow table of a frame or a URL, or the part of it that is asked for."""
    expression = _expression(filters)
    if not isinstance(source, str):
        table = table_of(source)
        table = table.filter(expression) if expression is not None else table
        _check_columns(table.column_names, columns)
        return table if columns is None else table.select(list(columns))
    dataset = _dataset(source, format_)
    _check_columns(dataset.schema.names, columns)
    return dataset.to_table(columns=columns, filter=expression)


def read_batches(
    source: Any, format_: str, columns: Sequence[str] | None, filters: Any
) -> Iterator[Any]:
    """Arrow tables of at most 65,536 rows; only one is in memory at a time."""
    pa = arrow().pa
    if not isinstance(source, str):
        table = read_table(source, format_, columns, filters)
        yield from (pa.Table.from_batches([b]) for b in table.to_batches(BATCH_ROWS))
        return
    dataset = _dataset(source, format_)
    _check_columns(dataset.schema.names, columns)
    batches = dataset.to_batches(
        columns=columns, filter=_expression(filters), batch_size=BATCH_ROWS
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def table_schema(value: Any, uri: str | None, format_: str) -> Any:
    """The Arrow schema, without reading rows."""
    if value is not None:
        return table_of(value).schema
    if uri is None:
        raise ValueError("the DataFrame holds neither a frame nor a uri; use wrap_df")
    return _dataset(uri, format_).schema


def open_as(
    cls: type,
    source: Any,
    *,
    format_: str,
    columns: Sequence[str] | None = None,
    filters: Any = None,
) -> Any:
    """The table at a URL (or a frame) as another frame class."""
    if source is None:
        raise ValueError("the DataFrame holds neither a frame nor a uri; use wrap_df")
    names = list(columns) if columns is not None else None
    library = library_of(cls)
    if isinstance(source, cls) and names is None and filters is None:
        return source
    table = read_table(source, format_, names, filters)
    if library == "registered":
        return _registered[cls][0](table)
    if library == "polars-lazy":
        return importlib.import_module("polars").from_arrow(table).lazy()
    if library == "duckdb":
        return importlib.import_module("duckdb").from_arrow(table)
    return arrow().from_table(table, cls)


def write_table(table: Any, url: str) -> None:
    """Write one Parquet file; it appears when it is complete.

    Raises:
        Unserializable: a column has a type that Parquet lacks.
    """
    if not is_remote(url):
        with arriving(path_of(url)) as partial:
            arrow().to_parquet(table, str(partial))
        return
    filesystem, path = filesystem_of(url)
    if not filesystem.async_impl:
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    with filesystem.open(path, "wb") as sink:
        arrow().to_parquet(table, sink)


def keep_table(table: Any, prefix: str, digest: str) -> str:
    """Store a table in the run's files under its digest, unless it is there; its URL."""
    url = join(prefix, FRAMES, digest)
    file = join(url, FIRST_FILE)
    if not is_kept(file):
        write_table(table, file)
        note_kept(file)
    return url
