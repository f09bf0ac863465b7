"""What pandas says of a table beside its columns, as far as that changes the frame it makes of it.

Of most frames that is nothing, so they are the same value as a bare Arrow table or a polars frame.
Else a column's label (a number, a pair), a dtype of pandas' own (`Int64` instead of `int64`) or the
attributes of a frame would be lost: two frames would count as one, and one be handed over for both.
Left out is what comes back in one way only: labels and texts of the dtype `object`.

Source of the format: pandas, "Storing pandas DataFrame objects in Apache Parquet format".
"""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa

_OF_NUMPY = re.compile(r"bool|object|str|bytes|u?int\d+|float\d+|(datetime|timedelta)64(\[\w+\])?")
"""Dtypes that follow from the type in Arrow."""
_AS_TEXT = re.compile("unicode|empty|mixed")
_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")


def said_by_pandas(metadata: bytes | None, table: pa.Table) -> dict[str, Any]:
    """Plain JSON; empty for a plain frame, and where pandas said nothing."""
    if metadata is None:
        return {}
    given = json.loads(metadata)
    index = given.get("index_columns", [])
    present = set(table.column_names)
    columns = [each for each in given.get("columns", []) if _field(each) in present]
    said = {
        "index": _index(index, table.num_rows),
        "names": _names(columns),
        "labels": _labels(given.get("column_indexes", [])),
        "dtypes": _dtypes([each for each in columns if _field(each) not in index]),
        "attributes": given.get("attributes"),
    }
    return {name: value for name, value in said.items() if value}


def _field(column: dict[str, Any]) -> Any:
    return column.get("field_name", column.get("name"))


def _index(index: list[Any], rows: int) -> list[Any]:
    """The index, unless it is the 0, 1, 2, … that every frame has."""
    plain = [{"kind": "range", "name": None, "start": 0, "stop": rows, "step": 1}]
    return [] if index == plain else index


def _names(columns: list[dict[str, Any]]) -> list[Any]:
    """The columns whose name is not that of their field: levels of the index, or no name at all."""
    found = [[_field(column), column.get("name")] for column in columns]
    return [
        each
        for each in found
        if each[1] != (None if _UNNAMED_INDEX.fullmatch(str(each[0])) else each[0])
    ]


def _labels(levels: list[dict[str, Any]]) -> list[Any]:
    """The levels of column labels, unless it is one without a name that comes back as text."""
    found = [[level.get(key) for key in ("name", "pandas_type", "numpy_type")] for level in levels]
    plain = len(found) == 1 and found[0][0] is None and _AS_TEXT.match(str(found[0][1]))
    return [] if plain else found


def _dtypes(columns: list[dict[str, Any]]) -> list[Any]:
    """The columns whose dtype does not follow from their type in Arrow."""
    found = [[_field(column), str(column.get("numpy_type"))] for column in columns]
    return [each for each in found if not _OF_NUMPY.fullmatch(each[1])]
