"""`flyte-ray store`: what it says, and that it does what it was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyte_ray.core.model import utc_now_us
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain.stage import command, run

__all__ = ["flyte_local"]

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def local(flyte_local: LocalHarness, capsys: Captured) -> LocalHarness:
    run(flyte_local, "one")
    capsys.readouterr()
    return flyte_local


def test_a_run_is_compacted_at_its_end_so_nothing_is_left_to_fold(
    local: LocalHarness, capsys: Captured
) -> None:
    assert (local.store / "runs/one/actions.parquet").exists()
    assert not compact_run(LocalBlobs(local.store), "one").tables
    assert command(local, "store", "compact") == 0
    assert "0 of 1 runs had something to fold" in capsys.readouterr().err
    assert command(local, "store", "compact", "one", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"run": "one", "parts": 0, "tables": False}]


def test_gc_says_what_would_go_and_then_removes_it(local: LocalHarness, capsys: Captured) -> None:
    assert command(local, "store", "gc", "--older-than", "0s", "--dry-run") == 0
    assert "would remove one" in capsys.readouterr().out
    assert (local.store / "runs/one/run.json").exists()
    assert command(local, "store", "gc", "--older-than", "30d") == 0
    assert (local.store / "runs/one/run.json").exists()
    assert command(local, "store", "gc", "--older-than", "0s", "--cached", "-o", "json") == 0
    [gone] = json.loads(capsys.readouterr().out)["removed"]
    assert gone["run"] == "one"
    assert not (local.store / "runs/one").exists()


def test_gc_sweeps_what_was_said_about_serialized_keys_weeks_ago(
    local: LocalHarness, capsys: Captured
) -> None:
    chains = local.store / "cache/flight"
    for key, at_us in (("old", 1), ("new", utc_now_us())):
        (chains / key).mkdir(parents=True)
        said = {"kind": "release", "run": "one", "at_us": at_us}
        (chains / key / "000000.json").write_text(json.dumps(said))
    assert command(local, "store", "gc", "--older-than", "1d", "--dry-run", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["claims"] == 1
    assert (chains / "old").exists()
    assert command(local, "store", "gc", "--older-than", "1d") == 0
    assert "1 claims and results" in capsys.readouterr().err
    assert [path.name for path in chains.iterdir()] == ["new"]


def test_an_age_that_is_none_is_a_wrong_call(local: LocalHarness) -> None:
    assert command(local, "store", "gc", "--older-than", "soon") == 2
    assert command(local, "store", "gc") == 2


def test_a_run_is_exported_and_imported(
    local: LocalHarness, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "one.zip"
    assert command(local, "store", "export", "one", str(path)) == 0
    assert command(local, "store", "gc", "--older-than", "0s", "--cached") == 0
    capsys.readouterr()
    assert command(local, "store", "import", str(path)) == 0
    assert capsys.readouterr().out.strip() == "one"
    assert command(local, "get", "runs", "-o", "json") == 0
    assert "one" in capsys.readouterr().out
    assert command(local, "store", "import", str(path)) == 2
