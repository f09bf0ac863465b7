"""On a cluster: the driver, the host of the run and a worker are killed in the middle of a run.

The run goes on each time, and only what was running when its process died runs again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte_ray.core.model import ActionPhase
from tests.chaos.evidence import (
    SQUARES,
    answer,
    catalog,
    executions,
    script,
    succeeded,
    surroundings,
)
from tests.chaos.squares import BATCHES, RESULT, SIZE
from tests.heads import Head, started_head
from tests.watching import seen

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

BODIES = 1 + BATCHES + BATCHES * SIZE


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head(2) as head:
        yield head


def started(
    head: Head, store: Path, marks: Path, name: str, *, begun: int = 30, **variables: str
) -> subprocess.Popen[str]:
    """A driver whose run is well under way: more than so many bodies have begun."""
    marks.mkdir()
    driver = subprocess.Popen(
        [sys.executable, str(SQUARES), "start", name, str(marks)],
        env=surroundings(store, MODE="remote", **head.variables, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if not seen(lambda: len(executions(marks)) > begun):
        driver.kill()
        pytest.fail(f"{name} did not get going: {driver.communicate()}")
    return driver


def result(driver: subprocess.Popen[str], store: Path) -> int | None:
    out, errors = driver.communicate(timeout=100)
    assert driver.returncode == 0, out + errors
    return answer(store)


def owner_pid(store: Path, run: str) -> int:
    """The process that owns the run's book now."""
    owners = sorted((store / "runs" / run / "owners").iterdir(), key=lambda f: int(f.stem))
    return int(json.loads(owners[-1].read_text())["pid"])


def test_a_run_outlives_its_driver_and_is_found_again(head: Head, tmp_path: Path) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    driver = started(head, store, marks, "orphan")
    driver.kill()
    driver.communicate()

    second = script(store, "await", "orphan", "-", **head.variables)

    assert answer(store) == RESULT, second.stdout + second.stderr
    assert set(executions(marks).values()) == {1}
    assert len(executions(marks)) == BODIES


def test_a_killed_host_comes_back_and_finishes_its_run(head: Head, tmp_path: Path) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    driver = started(head, store, marks, "hosted")
    assert seen(lambda: len(succeeded(store, "hosted")) > 20, every_s=0.5)
    os.kill(owner_pid(store, "hosted"), signal.SIGKILL)
    recorded, before = succeeded(store, "hosted"), executions(marks)

    assert result(driver, store) == RESULT

    assert not recorded & set(executions(marks) - before)
    assert len(executions(marks)) == BODIES
    assert catalog(store).run("hosted").phase.is_success


def test_a_run_goes_on_when_driver_and_host_are_both_killed(head: Head, tmp_path: Path) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    driver = started(head, store, marks, "alone")
    driver.kill()
    driver.communicate()
    os.kill(owner_pid(store, "alone"), signal.SIGKILL)
    recorded, before = succeeded(store, "alone"), executions(marks)

    ended = seen(lambda: catalog(store).run("alone").ended_us is not None, every_s=0.5)
    assert ended, Counter(a.phase for a in catalog(store).actions("alone").values())

    assert catalog(store).run("alone").phase.is_success
    assert not recorded & set(executions(marks) - before)


def test_a_lost_worker_is_not_charged_to_the_author(head: Head, tmp_path: Path) -> None:
    store, marks, gate = tmp_path / "store", tmp_path / "marks", tmp_path / "gate"
    driver = started(head, store, marks, "bereft", begun=2, GATE=str(gate), BATCHES="3")
    assert seen(lambda: any(marks.glob("square-*")))
    held = next(marks.glob("square-*"))  # it does not end, so its batch waits for it
    at_work = marks / f"batch-{int(held.name.removeprefix('square-')) // SIZE}"
    os.kill(int(at_work.read_text()), signal.SIGKILL)
    gate.touch()

    assert result(driver, store) == sum(x * x for x in range(3 * SIZE))

    actions = catalog(store).actions("bereft").values()
    lost = [a for a in actions if any(each.will_retry for each in a.attempts)]
    assert all(action.phase is ActionPhase.SUCCEEDED for action in actions)
    assert lost, "no attempt was lost"
    assert {json.loads(a.attempts[0].error or "{}")["code"] for a in lost} == {"WorkerLost"}
