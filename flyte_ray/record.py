"""PUBLIC: the record as data: SQL over runs, actions, attempts, edges, cache and artifacts.

The columns are described in docs/record.md. DuckDB comes with the extra `flyte-ray[sql]`; `table`
gives the same as Arrow tables without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyte_ray.client.explain.query import RecordConnection
from flyte_ray.client.explain.tables import VIEWS, RecordTables
from flyte_ray.client.session import current_session
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import UnsupportedValueError
from flyte_ray.store.blobs import open_blobs

__all__ = ["RecordConnection", "connect", "table"]


def connect(store: str | None = None, *, runs: Sequence[str] | None = None) -> RecordConnection:
    """A DuckDB connection with the views `runs actions attempts edges cache artifacts`.

    Args:
        store: root URL of a record; default: that of the session.
        runs: names of the runs that count; default: all. Fewer are read faster.

    Raises:
        ConfigurationError: DuckDB is not installed, or no store can be at the URL.

    Example:
        >>> with connect() as db:  # doctest: +SKIP
        ...     db.sql("select run, task, status from runs order by started_at desc").show()
    """
    return RecordConnection(_blobs(store), runs)


def table(view: str, store: str | None = None, *, runs: Sequence[str] | None = None) -> Any:
    """One of the views as a `pyarrow.Table`; needs no DuckDB.

    Raises:
        UnsupportedValueError: there is no such view.
        RunNotFoundError: one of the runs is not in the store.
    """
    if view not in VIEWS:
        raise UnsupportedValueError(f"there is no view {view!r}; there are {', '.join(VIEWS)}")
    return RecordTables(_blobs(store), runs).table(view)


def _blobs(store: str | None) -> Blobs:
    return current_session().blobs() if store is None else open_blobs(store)
