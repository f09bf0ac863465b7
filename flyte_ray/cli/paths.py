"""Values that are named by their path: files, folders, tables.

A path on this machine is uploaded or read, a URL is only referred to. The types are known by where
they are defined, since importing pandas or pyarrow to compare classes would cost every command
half a second; whoever annotated a parameter with one has imported it already.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_origin

OURS = "flyte_ray.io"


def is_named_by_path(annotation: Any) -> bool:
    """True when a value of the type is given on the command line as a path or URL."""
    return _reader_of(annotation) is not None


def read_path(annotation: Any, text: str) -> Any:
    """The file, folder or table of that path.

    Raises:
        ValueError: nothing is there, or it is of the wrong kind.
    """
    reader = _reader_of(annotation)
    if reader is None:
        raise ValueError(f"{annotation!r} is not named by a path")
    return reader(get_origin(annotation) or annotation, text)


def _reader_of(annotation: Any) -> Callable[[Any, str], Any] | None:
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return None
    for ancestor in origin.__mro__:
        module = ancestor.__module__
        if module == OURS or module.startswith(f"{OURS}."):
            return _OURS.get(ancestor.__name__)
        reader = _TABLES.get((module.partition(".")[0], ancestor.__name__))
        if reader is not None:
            return reader
    return None


def _file(kind: Any, text: str) -> Any:
    if "://" in text:
        return kind.from_existing_remote(text)
    path = _existing(text)
    if not path.is_file():
        raise ValueError(f"{text!r} is no file")
    return kind.from_local_sync(str(path))


def _folder(kind: Any, text: str) -> Any:
    if "://" in text:
        return kind.from_existing_remote(text)
    path = _existing(text)
    if not path.is_dir():
        raise ValueError(f"{text!r} is no folder")
    return kind.from_local_sync(str(path))


def _frame(kind: Any, text: str) -> Any:
    if "://" in text:
        return kind.from_existing_remote(text)
    return kind.from_df(_arrow(None, text))


def _arrow(_kind: Any, text: str) -> Any:
    path = _existing(text)
    if path.suffix.lower() == ".csv":
        return importlib.import_module("pyarrow.csv").read_csv(path)
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        return importlib.import_module("pyarrow.json").read_json(path)
    # Also folders of Parquet files.
    return importlib.import_module("pyarrow.parquet").read_table(path)


def _pandas(_kind: Any, text: str) -> Any:
    return _arrow(None, text).to_pandas()


def _polars(_kind: Any, text: str) -> Any:
    return importlib.import_module("polars").from_arrow(_arrow(None, text))


def _existing(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        raise ValueError(f"there is no file or folder {text!r}")
    return path


_OURS: Mapping[str, Callable[[Any, str], Any]] = {
    "File": _file,
    "Dir": _folder,
    "DataFrame": _frame,
}
_TABLES: Mapping[tuple[str, str], Callable[[Any, str], Any]] = {
    ("pyarrow", "Table"): _arrow,
    ("pandas", "DataFrame"): _pandas,
    ("polars", "DataFrame"): _polars,
}
