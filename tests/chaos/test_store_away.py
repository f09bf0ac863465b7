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

AWAY_S = 2.0
"""For so long it stays away once that was noticed."""
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


class Driver:
    """A driver with a run in which no square ends until it is let go."""

    def __init__(self, shelf: Shelf, folder: Path, variables: dict[str, str]) -> None:
        self.marks, self._gate, self._said = folder / "marks", folder / "gate", folder / "said"
        self.marks.mkdir()
        chosen = {"BATCHES": str(BATCHES), "GATE": str(self._gate), "SHOWS": "1"}
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, str(SQUARES), "start", "weathered", str(self.marks)],
                env=surroundings(shelf.path, **chosen, **variables),
                stdout=said,
                stderr=said,
            )

    def is_under_way(self) -> bool:
        """True once a square has begun."""
        return len(executions(self.marks)) > 2

    def let_go(self) -> None:
        self._gate.touch()

    def said(self) -> str:
        """What it has printed so far."""
        return self._said.read_text()

    def ended(self, patience_s: float = 100) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(patience_s)

    def leave(self) -> None:
        """Nothing stays behind, however the test ended."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def driver(shelf: Shelf, variables: dict[str, str], tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(shelf, tmp_path, variables)
    try:
        assert seen(driver.is_under_way), driver.said()
        yield driver
    finally:
        driver.leave()


def test_a_run_waits_for_a_store_that_is_away_for_a_while(shelf: Shelf, driver: Driver) -> None:
    shelf.take_away()
    driver.let_go()
    assert seen(lambda: bool(re.search(r"weathered:? waits for the store", driver.said())))
    time.sleep(AWAY_S)
    shelf.bring_back()

    assert driver.ended() == 0, driver.said()
    marks = driver.marks
    assert answer(shelf.path) == RESULT
    assert catalog(shelf.path).run("weathered").phase.is_success
    assert set(executions(marks).values()) == {1}
    assert len(executions(marks)) == BODIES


@pytest.mark.integration
@pytest.mark.parametrize("variables", ["remote"], indirect=True)
def test_a_run_whose_host_dies_while_the_store_is_away_goes_on_when_it_is_back(
    shelf: Shelf, driver: Driver
) -> None:
    (owner,) = (shelf.path / "runs" / "weathered" / "owners").iterdir()
    host = int(json.loads(owner.read_text())["pid"])
    before = succeeded(shelf.path, "weathered")
    shelf.take_away()
    os.kill(host, signal.SIGKILL)
    assert seen(lambda: "weathered: cannot be resumed yet" in driver.said()), driver.said()
    shelf.bring_back()
    driver.let_go()

    assert driver.ended() == 0, driver.said()
    assert answer(shelf.path) == RESULT
    assert catalog(shelf.path).run("weathered").phase.is_success
    repeated = {mark for mark, times in executions(driver.marks).items() if times > 1}
    assert not repeated & before


@pytest.mark.soak
def test_a_run_fails_when_the_store_stays_away_and_its_record_is_recovered(
    shelf: Shelf, driver: Driver, variables: dict[str, str]
) -> None:
    before = succeeded(shelf.path, "weathered")
    shelf.take_away()
    driver.let_go()

    assert driver.ended(PATIENCE_S) == 1, driver.said()
    assert "the store failed at" in driver.said() and "weathered" in driver.said()
    shelf.bring_back()
    assert before <= succeeded(shelf.path, "weathered")
    again = script(shelf.path, "recover", "again", "weathered", **variables)
    assert answer(shelf.path) == RESULT, again.stderr
    repeated = [mark for mark, times in executions(driver.marks).items() if times > 1]
    assert not set(repeated) & before
