"""`flyte-ray sql`: one query, four forms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain.stage import command, run

__all__ = ["flyte_local"]

Captured = pytest.CaptureFixture[str]

QUERY = "select task, count(*) as n, 0 as zero, null as gap from actions group by 1 order by 1"
TABLE = """\
task            n   zero   gap
──────────────────────────────
flows.climate   1      0   NULL
flows.fetch     2      0   NULL
flows.mean      1      0   NULL
flows.scale     1      0   NULL"""


@pytest.fixture
def local(flyte_local: LocalHarness, capsys: Captured) -> LocalHarness:
    run(flyte_local, "one")
    capsys.readouterr()
    return flyte_local


def test_a_table_shows_every_column(local: LocalHarness, capsys: Captured) -> None:
    assert command(local, "sql", QUERY) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    expected = [line.split() for line in TABLE.splitlines()]
    assert [line.split() for line in lines][:1] == expected[:1]
    assert [line.split() for line in lines][2:] == expected[2:]


def test_json_and_csv_go_to_stdout(
    flyte_local: LocalHarness, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run(flyte_local, "one")
    capfdbinary.readouterr()
    assert command(flyte_local, "sql", QUERY, "--format", "json") == 0
    rows = json.loads(capfdbinary.readouterr().out)
    assert rows[1] == {"task": "flows.fetch", "n": 2, "zero": 0, "gap": None}
    assert command(flyte_local, "sql", QUERY, "--format", "csv") == 0
    text = capfdbinary.readouterr().out.decode()
    assert [row["n"] for row in csv.DictReader(text.splitlines())] == ["1", "2", "1", "1"]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.json"])
def test_a_file_is_written_in_the_form_of_its_name(
    local: LocalHarness, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    assert command(local, "sql", QUERY, "--output", str(file)) == 0
    if name.endswith("parquet"):
        assert pq.read_table(file).column("n").to_pylist() == [1, 2, 1, 1]
    else:
        assert b"flows.fetch" in file.read_bytes()


def test_a_wrong_query_is_a_wrong_call(local: LocalHarness, capsys: Captured) -> None:
    assert command(local, "sql", "select nothing from actions") == 2
    assert 'column "nothing" not found' in " ".join(capsys.readouterr().err.split())


def test_a_file_of_no_known_form_is_refused(local: LocalHarness, capsys: Captured) -> None:
    assert command(local, "sql", QUERY, "--output", "x.txt") == 2
    assert "end its name in" in capsys.readouterr().err


def test_no_rows_are_told(local: LocalHarness, capsys: Captured) -> None:
    assert command(local, "sql", "select run from actions where false") == 0
    assert "No rows (run)" in capsys.readouterr().err
