"""The record as tables, and SQL over them."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import flyte_ray as flyte
from flyte_ray import record
from flyte_ray.client.explain import query
from flyte_ray.client.explain.query import RecordConnection
from flyte_ray.client.explain.tables import VIEWS
from flyte_ray.client.session import temporary_session
from flyte_ray.errors import (
    ConfigurationError,
    RunNotFoundError,
    StoreError,
    UnsupportedValueError,
)
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import blobs_of, run

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="tables")


@env.task
async def publish(text: str) -> flyte.io.File:
    return await flyte.io.File.from_local(_written(text))


def _written(text: str) -> str:
    path = Path("result.txt").absolute()
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> RecordConnection:
    local = LocalHarness(tmp_path_factory.mktemp("store"))
    with temporary_session(store=str(local.store), mode="local"):
        run(local, "one")
        run(local, "two")
        run(local, "bad", flows.fragile, ["x"], 1.0)
    return RecordConnection(blobs_of(local))


def test_runs_and_actions_can_be_counted(db: RecordConnection) -> None:
    assert db.sql("select run, status from runs order by run").fetchall() == [
        ("bad", "failed"),
        ("one", "succeeded"),
        ("two", "succeeded"),
    ]
    counted = (
        "select task, count(*), count(*) filter (cached) from actions where run = ? group by 1"
    )
    found = {row[0]: row[1:] for row in db.execute(counted, ["two"]).fetchall()}
    assert found == {
        "flows.climate": (1, 0),
        "flows.fetch": (2, 2),
        "flows.mean": (1, 1),
        "flows.scale": (1, 1),
    }


def test_attempts_say_how_they_ended(db: RecordConnection) -> None:
    query = "select task, attempt, status from attempts where run = 'bad' order by task"
    assert ("flows.guard", 1, "failed") in db.sql(query).fetchall()


def test_edges_cache_and_runs_join(db: RecordConnection) -> None:
    assert db.sql("select count(*) from cache join runs using (run)").fetchall() == [(5,)]
    edges = db.sql("select src_run from edges where kind = 'cache' and run = 'two'").fetchall()
    assert edges == [("one",)] * 4


def test_edges_tell_elements_apart(db: RecordConnection) -> None:
    query = """
        select src.task, dst_element from edges join actions src
        on src.run = edges.run and src.action_id = src_action
        where edges.run = 'one' and dst_name = 'readings' and edges.kind = 'data' order by all
    """
    assert db.sql(query).fetchall() == [("flows.fetch", 0), ("flows.fetch", 1)]


def test_the_stored_edges_tell_elements_apart_to_any_reader(
    flyte_local: LocalHarness,
) -> None:
    """`readings` is a list of records, gathered by the parent's code: nothing of it is a leaf."""
    run(flyte_local, "one")
    query = """
        select task, dst_path, dst_element
        from read_parquet($root || '/runs/one/edges.parquet') edges
        join read_parquet($root || '/runs/one/actions.parquet') made on action_id = src_action
        where dst_name = 'readings' and edges.kind = 'data' order by all
    """
    plain = duckdb.connect().execute(query, {"root": str(flyte_local.store)})
    assert plain.fetchall() == [("flows.fetch", "[0]", 0), ("flows.fetch", "[1]", 1)]


def test_files_are_artifacts(
    flyte_local: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flyte_local.run_with({"name": "files"}, publish, "hello")
    db = RecordConnection(blobs_of(flyte_local))
    ((name, uri, digest),) = db.sql("select name, uri, sha256 from artifacts").fetchall()
    assert name == "o0"
    assert uri.startswith(str(flyte_local.store))
    assert len(digest) == 64


def test_only_the_chosen_runs_are_read(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    run(flyte_local, "two")
    store = str(flyte_local.store)
    with record.connect(store, runs=["two"]) as db:
        assert db.sql("select distinct run from actions").fetchall() == [("two",)]
    with pytest.raises(RunNotFoundError):
        record.table("actions", store, runs=["none"])


def test_a_refreshed_connection_sees_later_runs(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    with record.connect(str(flyte_local.store)) as db:
        assert db.sql("select count(*) from runs").fetchall() == [(1,)]
        run(flyte_local, "two")
        db.refresh()
        assert db.sql("select count(*) from runs").fetchall() == [(2,)]
        assert db.connection.sql("select count(*) from artifacts").fetchall() == [(0,)]


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_store_has_all_views(view: str, tmp_path: Path) -> None:
    found = record.table(view, str(tmp_path))
    assert isinstance(found, pa.Table)
    assert found.num_rows == 0
    assert "run" in found.column_names


def test_a_damaged_run_is_left_out_unless_it_was_asked_for(
    flyte_local: LocalHarness, caplog: pytest.LogCaptureFixture
) -> None:
    run(flyte_local, "one")
    run(flyte_local, "two")
    folder = flyte_local.store / "runs/two"
    (folder / "actions.parquet").unlink()
    shutil.rmtree(folder / "parts")
    first = min((folder / "log").rglob("*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    with record.connect(str(flyte_local.store)) as db:
        assert db.sql("select distinct run from actions").fetchall() == [("one",)]
    assert "run two is left out" in caplog.text
    with pytest.raises(StoreError, match=first.name):
        record.table("actions", str(flyte_local.store), runs=["two"])


def test_an_unknown_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedValueError, match="'tasks'; there are runs, actions"):
        record.table("tasks", str(tmp_path))


def test_a_missing_duckdb_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(query.importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'flyte-ray\[sql\]'"):
        record.connect(str(tmp_path))
