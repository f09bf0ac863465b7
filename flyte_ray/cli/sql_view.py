"""Results of SQL over the record: a table for people; CSV, JSON and Parquet for programs.

A wrong query is a wrong call: DuckDB's own message is shown, which marks the place.
"""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.render import print_document
from flyte_ray.client.explain.query import RecordConnection
from flyte_ray.client.session import current_session
from flyte_ray.errors import UnsupportedValueError

MOST_ROWS = 1000
"""Rows of a table for people; the other forms have all."""


def show(
    invocation: Invocation,
    query: str,
    *,
    form: str | None,
    output: Path | None,
    runs: tuple[str, ...],
) -> None:
    """Carry out `flyte-ray sql`."""
    invocation.backend()
    form = form or _form_of(output) or ("json" if invocation.writes_json else "table")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UnsupportedValueError("Parquet is no text: name a file with --output, or redirect.")
    with RecordConnection(current_session().blobs(), list(runs) or None) as db:
        result = _result(db, query)
    if result is None:
        return
    if form == "table":
        _print_table(invocation, result, output)
    elif form == "json":
        _print_json(invocation, result, output)
    elif form == "csv":
        _write(importlib.import_module("pyarrow.csv").write_csv, result, output)
    else:
        _write(importlib.import_module("pyarrow.parquet").write_table, result, output)


def _result(db: RecordConnection, query: str) -> Any:
    """The result as an Arrow table; None for statements that have none."""
    duckdb = importlib.import_module("duckdb")
    try:
        relation = db.sql(query)
        return None if relation is None else relation.to_arrow_table()
    except duckdb.Error as error:
        raise UnsupportedValueError(str(error)) from error


def _form_of(output: Path | None) -> str | None:
    """The form that a file's name asks for."""
    known = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    return None if output is None else known.get(output.suffix.lower())


def _print_table(invocation: Invocation, result: Any, output: Path | None) -> None:
    if output is not None:
        raise UnsupportedValueError(
            f"{str(output)!r} is to hold a table: end its name in .csv, .json or .parquet, or say "
            "--format."
        )
    if not result.num_rows:
        invocation.err.print(f"No rows ({', '.join(result.column_names)}).", style="dim")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for field in result.schema:
        kind = str(field.type)
        is_number = kind.startswith(("int", "uint", "double", "float", "decimal"))
        table.add_column(field.name, justify="right" if is_number else "left", overflow="fold")
    for row in result.slice(0, MOST_ROWS).to_pylist():
        table.add_row(*map(_cell, row.values()))
    invocation.out.print(table)
    if result.num_rows > MOST_ROWS:
        more = result.num_rows - MOST_ROWS
        invocation.err.print(f"… and {more:,} more rows: --format csv has all.", style="dim")


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, datetime):
        return Text(value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")[:23])
    return Text(f"{value:g}" if isinstance(value, float) else str(value))


def _print_json(invocation: Invocation, result: Any, output: Path | None) -> None:
    rows = result.to_pylist()
    if output is None:
        print_document(invocation.out, rows, invocation.options.output_format)
        return
    with output.open("w", encoding="utf-8") as file:
        print_document(Console(file=file), rows, invocation.options.output_format)


def _write(write: Any, result: Any, output: Path | None) -> None:
    if output is not None:
        write(result, str(output))
        return
    sys.stdout.flush()
    write(result, sys.stdout.buffer)
    sys.stdout.buffer.flush()
