"""A script that does not wait for its run in this process: the end of the script does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_ray.core.model import ActionPhase
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).with_name("leaving.py")


@pytest.mark.parametrize(
    ("how", "code", "phase"),
    [
        ("ends", 0, ActionPhase.SUCCEEDED),
        ("fails", 1, ActionPhase.FAILED),
        ("forks", 0, ActionPhase.SUCCEEDED),
    ],
)
def test_a_run_that_is_left_behind_is_seen_to_its_end(
    how: str, code: int, phase: ActionPhase, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), how, "left"],
        env=os.environ | {"FLYTE_RAY_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "waiting for run left (Ctrl-C aborts it)" in ended.stderr
    assert "shutdown" not in ended.stderr
    assert ("run left failed: ValueError: too late" in ended.stderr) is (how == "fails")
    assert Catalog(open_blobs(str(tmp_path))).run("left").phase is phase
