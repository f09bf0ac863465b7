"""A stored table opens as a dataset of Ray Data, read by Ray's tasks as far as it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
import pyarrow as pa
import ray
import ray.data
from flyte_ray.io import DataFrame
from tests.unit.io.places import pass_on

ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
files = sys.argv[1]
table = pa.table({"a": range(300_000), "b": ["x"] * 300_000})
frame = pass_on(table, DataFrame, files)
part = frame.open(ray.data.Dataset, columns=["b", "a"], filters=[("a", ">", 299_997)]).all_sync()
print(sorted(row["a"] for row in part.take_all()), part.columns())
print(frame.open(ray.data.Dataset).all_sync().count())
none = frame.open(ray.data.Dataset, filters=[("a", "<", 0)]).all_sync()
print(none.count())
wrapped = pass_on(ray.data.range(10), DataFrame, files)
print(wrapped.open(pa.Table).all_sync().num_rows)
"""


def test_a_stored_table_is_a_dataset_and_back(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "files")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line and line[0] in "[0123456789"]
    assert lines[-4:] == ["[299998, 299999] ['b', 'a']", "300000", "0", "10"]
