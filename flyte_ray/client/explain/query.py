"""SQL over the record, by DuckDB: six views on any store, read when a query first names them.

DuckDB is an extra (`flyte-ray[sql]`); it sees Arrow tables, so it needs no access to the store of
its own and reads gs:// and s3:// as it does a folder. A view shows the store as it was when it was
first asked for; `refresh` looks again.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

from flyte_ray.client.explain.tables import VIEWS, RecordTables
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError

_WORD = re.compile(r"\w+")


class RecordConnection:
    """A DuckDB connection with the views `runs actions attempts edges cache artifacts`.

    Whatever it does not have itself is DuckDB's (`register`, `close`, …). Not thread-safe; use one
    per thread.

    Example:
        >>> from flyte_ray import record
        >>> with record.connect() as db:  # doctest: +SKIP
        ...     print(db.sql("select status, count(*) from actions group by all"))
    """

    def __init__(self, blobs: Blobs, runs: Sequence[str] | None = None) -> None:
        self._blobs = blobs
        self._runs = runs
        self._tables = RecordTables(blobs, runs)
        self._made: set[str] = set()
        self._db = _duckdb().connect(":memory:")

    def sql(self, query: str, **options: Any) -> Any:
        """A DuckDB relation: `.fetchall()`, `.arrow()`, `.df()`, `.pl()`, `.show()`."""
        self._prepare(query)
        return self._db.sql(query, **options)

    query = sql

    def execute(self, query: str, parameters: Any = None) -> Any:
        """As DuckDB's `execute`, with parameters for `?` or `$name`."""
        self._prepare(query)
        return self._db.execute(query, parameters)

    def refresh(self) -> None:
        """Forget what was read: the next query looks at the store again."""
        for view in self._made:
            self._db.unregister(view)
        self._made.clear()
        self._tables = RecordTables(self._blobs, self._runs)

    @property
    def connection(self) -> Any:
        """DuckDB's own connection, with all views read."""
        self._prepare(" ".join(VIEWS))
        return self._db

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _prepare(self, query: str) -> None:
        words = set(map(str.lower, _WORD.findall(query)))
        for view in VIEWS:
            if view in words and view not in self._made:
                self._db.register(view, self._tables.table(view))
                self._made.add(view)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def __enter__(self) -> RecordConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _duckdb() -> Any:
    try:
        return importlib.import_module("duckdb")
    except ModuleNotFoundError as error:
        if error.name != "duckdb":
            raise
        raise ConfigurationError(
            "SQL over the record needs DuckDB, which is not installed: "
            "pip install 'flyte-ray[sql]'. The record itself is Parquet, for any other reader."
        ) from error
