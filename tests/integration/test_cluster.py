"""Runs on a cluster that is already there: attached by RAY_ADDRESS, or submitted as Ray jobs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_ray.core.model import ActionPhase
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog, RunRecord
from tests.heads import Head
from tests.integration.test_stopping import BODIES
from tests.watching import seen

pytestmark = pytest.mark.integration

PATIENT = Path(__file__).with_name("patient.py")
UNBUILDABLE = Path(__file__).with_name("unbuildable.py")


def driver(head: Head, store: Path, *arguments: str, **variables: str) -> None:
    """Run a script that attaches to the cluster."""
    ended = subprocess.run(
        [sys.executable, str(PATIENT), *arguments],
        env=os.environ | head.variables | {"FLYTE_RAY_STORE": str(store)} | variables,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def record(store: Path, run: str) -> RunRecord:
    return Catalog(open_blobs(str(store))).run(run)


def owner_pid(store: Path, run: str) -> int:
    """The process that keeps the run's book."""
    (owner,) = (store / "runs" / run / "owners").iterdir()
    return int(json.loads(owner.read_text())["pid"])


def test_a_script_attaches_and_its_run_goes_on_without_it(head: Head, tmp_path: Path) -> None:
    driver(head, tmp_path, "let-go", "")
    assert seen(lambda: record(tmp_path, "let-go").ended_us is not None)
    assert record(tmp_path, "let-go").phase is ActionPhase.SUCCEEDED


def test_a_second_script_finds_the_host_warm(head: Head, tmp_path: Path) -> None:
    driver(head, tmp_path, "first", "")
    driver(head, tmp_path, "second", "")
    assert seen(lambda: record(tmp_path, "second").ended_us is not None)
    assert owner_pid(tmp_path, "first") == owner_pid(tmp_path, "second")


def test_an_environment_that_cannot_be_built_is_told_at_once_with_the_remedy(
    head: Head, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, str(UNBUILDABLE), "stillborn"],
        env=os.environ | head.variables | head.job_variables | {"FLYTE_RAY_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert "ImageBuildError" in ended.stderr
    assert "environment 'unbuildable' could not be built" in ended.stderr
    assert "No such file or directory: '/nowhere/at/all.zip'" in ended.stderr
    assert "flyte-ray rerun stillborn --recover" in ended.stderr
    (root,) = Catalog(open_blobs(str(tmp_path))).actions("stillborn").values()
    assert [each.will_retry for each in root.attempts] == [False], "a retry would build the same"
    assert "Traceback" in Catalog(open_blobs(str(tmp_path))).log_text("stillborn", "a0", None)


class Job:
    """A working directory that is submitted as a Ray job, the store named in its settings."""

    def __init__(self, head: Head, folder: Path) -> None:
        self._head = head
        self._folder = folder / "project"
        self.store = folder / "store"
        (self._folder / ".flyte_ray").mkdir(parents=True)
        (self._folder / ".flyte_ray" / "config.yaml").write_text(f"store: {self.store}\n")
        shutil.copy(PATIENT, self._folder / "workflow.py")

    def ray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`ray job …` in the working directory."""
        return subprocess.run(
            [Path(sys.executable).with_name("ray"), "job", *arguments],
            cwd=self._folder,
            env=os.environ | self._head.job_variables,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def submit(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Submit, as a user would; for ever-lasting ones give `--no-wait` and options first."""
        environment = json.dumps({"env_vars": variables})
        return self.ray(
            "submit", "--working-dir", ".", "--runtime-env-json", environment, *arguments
        )


def test_a_job_succeeds_with_its_run(head: Head, tmp_path: Path) -> None:
    job = Job(head, tmp_path)
    ended = job.submit("--", "python", "workflow.py")
    assert ended.returncode == 0, ended.stdout
    assert "succeeded" in ended.stdout
    assert record(job.store, "brief").phase is ActionPhase.SUCCEEDED


def test_tasks_of_a_job_see_its_variables(head: Head, tmp_path: Path) -> None:
    job = Job(head, tmp_path)
    assert job.submit("--", "python", "workflow.py", GREETING="good day").returncode == 0
    actions = Catalog(open_blobs(str(job.store))).actions("brief").values()
    assert ["good day" in (action.outputs_json or "") for action in actions] == [True]


def test_a_job_fails_with_its_run(head: Head, tmp_path: Path) -> None:
    job = Job(head, tmp_path)
    ended = job.submit("--", "python", "workflow.py", FAILS="1")
    assert ended.returncode == 1, ended.stdout
    assert "as it was asked to" in ended.stdout
    assert record(job.store, "brief").phase is ActionPhase.FAILED


def test_stopping_a_job_aborts_its_run(head: Head, tmp_path: Path) -> None:
    job, marks = Job(head, tmp_path), tmp_path / "marks"
    marks.mkdir()
    said = job.submit("--no-wait", "--", "python", "workflow.py", "stopped", str(marks)).stdout
    begun = lambda: {file.name.rpartition("-")[0] for file in marks.iterdir()}  # noqa: E731
    found = re.search(r"raysubmit_\w+", said)
    assert found, said
    assert seen(lambda: begun() >= BODIES), job.ray("logs", found.group()).stdout

    stopped = job.ray("stop", found.group())

    assert stopped.returncode == 0, stopped.stdout
    assert seen(lambda: record(job.store, "stopped").ended_us is not None)
    assert record(job.store, "stopped").phase is ActionPhase.ABORTED
