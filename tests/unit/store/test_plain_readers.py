"""DuckDB, Polars and pyarrow read the record with nothing of ours, also while it is written."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset as ds
import pytest

import flyte_ray as flyte
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.store import schemas
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run, fold_blocks
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.pacing import Pace
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.store.books import ONE, row, run_spec, success

__all__ = ["flyte_local"]

PAGE = (Path(__file__).resolve().parents[3] / "docs/record.md").read_text(encoding="utf-8")
PATIENT_S = 60


def with_duckdb(root: Path) -> int:
    query = (
        f"select count(*) from read_parquet('{root}/runs/r1/log/*/*.parquet', union_by_name=true)"
    )
    [(count,)] = duckdb.connect().execute(query).fetchall()
    return int(count)


def with_polars(root: Path) -> int:
    rows = polars.scan_parquet(f"{root}/runs/r1/log/*/*.parquet", missing_columns="insert")
    return int(rows.select(polars.len()).collect().item())


def with_pyarrow(root: Path) -> int:
    return int(ds.dataset(f"{root}/runs/r1/log", format="parquet").count_rows())


@pytest.mark.parametrize("count", [with_duckdb, with_polars, with_pyarrow])
def test_a_run_that_is_being_written_is_read_whole(
    tmp_path: Path, count: Callable[[Path], int]
) -> None:
    blobs = LocalBlobs(tmp_path)
    book = create_book(blobs, run_spec(), "test", pace=Pace(gap_per_leaf_s=0))
    book.append([row(EventKind.SUBMITTED, ROOT_ACTION)]).result(PATIENT_S)
    acked, done = [1], threading.Event()

    def write() -> None:
        for number in range(300):
            book.append([success(f"b{number}")]).result(PATIENT_S)
            acked[0] += 1
            if number % 100 == 99:
                fold_blocks(blobs, book.run, book.stored_below)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not done.is_set() or looks < 3:
        before = acked[0]
        assert count(tmp_path) >= before
        looks += 1
    writer.join()
    book.close()
    assert count(tmp_path) == 301


def test_the_queries_of_the_page_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = LocalBlobs(tmp_path)
    book = create_book(blobs, run_spec("brisk-otter"), "test")
    submitted = row(
        EventKind.SUBMITTED, "b1", at_us=9, phase=ActionPhase.QUEUED, inputs=ONE.to_json()
    )
    ended = dataclasses.replace(success("b1"), phase=ActionPhase.SUCCEEDED)
    book.append([submitted, ended]).result()  # of one segment the later row counts
    book.finish("succeeded", {"succeeded": 1})
    compact_run(blobs, "brisk-otter")
    monkeypatch.chdir(tmp_path)
    queries = [q for block in re.findall(r"```sql\n(.*?)```", PAGE, re.S) for q in block.split(";")]
    found = [duckdb.connect().execute(query).fetchall() for query in queries if query.strip()]
    assert len(found) == 3
    assert [(action, status) for action, status, _ in found[0]] == [("b1", "succeeded")]
    assert all(found)


def test_the_page_tells_what_runs_in_progress_do_as_the_catalog_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers hand in successes themselves, which may overtake the row of their submission."""
    blobs = LocalBlobs(tmp_path)

    def submitted(action: str, at_us: int) -> Event:
        return row(EventKind.SUBMITTED, action, at_us=at_us, phase=ActionPhase.QUEUED)

    def ended(action: str, phase: ActionPhase, at_us: int) -> Event:
        attrs = {"queued_us": at_us - 2}
        kind = EventKind(phase.value)
        return row(kind, action, at_us=at_us, attempt=1, phase=phase, attrs=attrs)

    book = create_book(blobs, run_spec("brisk-otter"), "first")
    for event in (
        ended("overtaker", ActionPhase.SUCCEEDED, 9),
        submitted("overtaker", 7),
        submitted("again", 7),
        ended("again", ActionPhase.SUCCEEDED, 9),
        submitted("failed", 7),
        ended("failed", ActionPhase.FAILED, 9),
    ):
        book.append([event]).result(PATIENT_S)
    book.close()
    book, _ = open_book(blobs, "brisk-otter", "second")
    book.append([submitted("again", 20), submitted("failed", 20)]).result(PATIENT_S)
    book.close()
    monkeypatch.chdir(tmp_path)
    query = re.findall(r"```sql\n(.*?);", PAGE, re.S)[0]
    found = {action: status for action, status, _ in duckdb.connect().execute(query).fetchall()}
    assert found == {
        action: each.phase.value for action, each in Catalog(blobs).actions("brisk-otter").items()
    }
    assert found == {"overtaker": "succeeded", "again": "queued", "failed": "queued"}


@pytest.mark.parametrize(
    "schema", [schemas.LOG, schemas.ACTIONS, schemas.EDGES, schemas.RUNS, schemas.ATTEMPT]
)
def test_the_page_names_every_column(schema: object) -> None:
    names = {field.name for field in schema}  # type: ignore[attr-defined]
    words = set(re.findall(r"\w+", PAGE))
    assert names <= words


env = flyte.TaskEnvironment(name="live")
_seen = threading.Event()


@env.task
def slow(x: int) -> int:
    """Goes on until the test has read of it."""
    assert _seen.wait(PATIENT_S)
    return x


@env.task
async def main(x: int) -> int:
    return await slow.aio(x)


def status_by_duckdb(root: Path, run: str) -> dict[str, str]:
    query = (
        "select task, arg_max(status, slot * 1000000 + file_row_number) from read_parquet("
        f"'{root}/runs/{run}/log/*/*.parquet', union_by_name=true, file_row_number=true)"
        " where status is not null group by task"
    )
    return dict(duckdb.connect().execute(query).fetchall())


def status_by_polars(root: Path, run: str) -> dict[str, str]:
    rows = polars.scan_parquet(f"{root}/runs/{run}/log/*/*.parquet", missing_columns="insert")
    kept = rows.filter(polars.col("status").is_not_null()).sort("slot")
    return dict(kept.select("task", "status").collect().iter_rows())


def status_by_pyarrow(root: Path, run: str) -> dict[str, str]:
    table = ds.dataset(f"{root}/runs/{run}/log", format="parquet").to_table().sort_by("slot")
    rows = table.select(["task", "status"]).to_pylist()
    return {row["task"]: row["status"] for row in rows if row["status"]}


@pytest.mark.parametrize("look", [status_by_duckdb, status_by_polars, status_by_pyarrow])
def test_a_run_at_work_is_read_from_the_store(
    flyte_local: LocalHarness, look: Callable[[Path, str], dict[str, str]]
) -> None:
    """The task ends only when the reader has seen it run, so it sees a run that goes on."""
    _seen.clear()
    run = flyte.with_runcontext("local", background=True, name="at-work").run(main, 7)
    found: dict[str, str] = {}
    try:
        deadline = time.monotonic() + PATIENT_S
        while found.get("live.slow") != "running":
            assert time.monotonic() < deadline, f"seen so far: {found}"
            if any((flyte_local.store / "runs/at-work/log").rglob("*.parquet")):
                found = look(flyte_local.store, "at-work")
    finally:
        _seen.set()
        run.wait(quiet=True)
    assert found["live.main"] == "running"
    assert run.outputs()[0] == 7
