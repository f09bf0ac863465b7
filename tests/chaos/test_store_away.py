"""The store goes away in the middle of a run: the run waits, says so, and goes on; or it fails.

The store is reached through a symbolic link. Away, the link points to itself, so that whatever is
asked of it fails with an error of the system, for root as well; both turns are one atomic step.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.evidence import (
    PATIENCE_S,
    SQUARES,
    answer,
    catalog,
    executions,
    script,
    succeeded,
    surroundings,
)
from tests.chaos.squares import SIZE
from tests.heads import Head, started_head
from tests.watching import seen

pytestmark = [pytest.mark.chaos]

AWAY_S = 3.0
BATCHES = 1
RESULT = sum(x * x for x in range(BATCHES * SIZE))
BODIES = 1 + BATCHES + BATCHES * SIZE


class Shelf:
    """A store that can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        self._real = folder / "real"
        self._real.mkdir()
        self.path = folder / "store"
        self.path.symlink_to(self._real)

    def take_away(self) -> None:
        self._point_to(self.path)

    def bring_back(self) -> None:
        self._point_to(self._real)

    def _point_to(self, target: Path) -> None:
        made = self.path.with_name("turning")
        made.symlink_to(target)
        made.replace(self.path)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture(params=["local", pytest.param("remote", marks=pytest.mark.integration)])
def variables(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a driver on either engine."""
    if request.param == "local":
        return {"MODE": "local"}
    head: Head = request.getfixturevalue("head")
    return {"MODE": "remote", **head.variables}


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head(2) as head:
        yield head


def started(shelf: Shelf, marks: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    """A driver whose run is well under way."""
    marks.mkdir()
    driver = subprocess.Popen(
        [sys.executable, str(SQUARES), "start", "weathered", str(marks)],
        env=surroundings(shelf.path, BATCHES=str(BATCHES), PAUSE_S="2", SHOWS="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert seen(lambda: len(executions(marks)) > 2), driver.communicate()
    return driver


def test_a_run_waits_for_a_store_that_is_away_for_a_while(
    shelf: Shelf, variables: dict[str, str], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    driver = started(shelf, marks, variables)
    shelf.take_away()
    time.sleep(AWAY_S)
    shelf.bring_back()

    out, errors = driver.communicate(timeout=100)

    assert driver.returncode == 0, out + errors
    assert re.search(r"weathered:? waits for the store", errors), errors
    assert answer(shelf.path) == RESULT
    assert catalog(shelf.path).run("weathered").phase.is_success
    assert set(executions(marks).values()) == {1}
    assert len(executions(marks)) == BODIES


@pytest.mark.integration
def test_a_run_whose_host_dies_while_the_store_is_away_goes_on_when_it_is_back(
    shelf: Shelf, head: Head, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    driver = started(shelf, marks, {"MODE": "remote", **head.variables})
    (owner,) = (shelf.path / "runs" / "weathered" / "owners").iterdir()
    host = int(json.loads(owner.read_text())["pid"])
    before = succeeded(shelf.path, "weathered")
    shelf.take_away()
    os.kill(host, signal.SIGKILL)
    time.sleep(AWAY_S)
    shelf.bring_back()

    out, errors = driver.communicate(timeout=100)

    assert driver.returncode == 0, out + errors
    assert answer(shelf.path) == RESULT
    assert catalog(shelf.path).run("weathered").phase.is_success
    repeated = {mark for mark, times in executions(marks).items() if times > 1}
    assert not repeated & before


@pytest.mark.soak
def test_a_run_fails_when_the_store_stays_away_and_its_record_is_recovered(
    shelf: Shelf, variables: dict[str, str], tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    driver = started(shelf, marks, variables)
    before = succeeded(shelf.path, "weathered")
    shelf.take_away()

    out, errors = driver.communicate(timeout=PATIENCE_S)

    assert driver.returncode == 1, out + errors
    assert "the store failed at" in errors and "weathered" in errors
    shelf.bring_back()
    assert before <= succeeded(shelf.path, "weathered")
    again = script(shelf.path, "recover", "again", "weathered", **variables)
    assert answer(shelf.path) == RESULT, again.stderr
    repeated = [mark for mark, times in executions(marks).items() if times > 1]
    assert not set(repeated) & before
