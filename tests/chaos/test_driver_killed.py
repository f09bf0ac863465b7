"""kill -9 of the process that carries a run, at ten points; then recovery from another process."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.evidence import answer, catalog, executions, recovered, script, succeeded
from tests.chaos.squares import BATCHES, RESULT, SIZE

pytestmark = pytest.mark.chaos

BODIES = 1 + BATCHES + BATCHES * SIZE
ROOT = {"whole"}
"""It runs in every recovery, since what it calls may have changed, also when it had succeeded."""


def killed(store: Path, marks: Path, *arguments: str, at: int, seed: int) -> None:
    """Run the script until it kills itself."""
    marks.mkdir(exist_ok=True)
    ended = script(store, *arguments, KILL_AT=str(at), KILL_SEED=str(seed))
    assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr


@pytest.mark.parametrize("seed", range(10))
def test_recovery_of_a_killed_run_repeats_nothing_that_was_recorded(
    seed: int, tmp_path: Path
) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    killed(store, marks, "start", "cut", str(marks), at=kill_point(seed), seed=seed)
    recorded, before = succeeded(store, "cut") - ROOT, executions(marks)

    ended = script(store, "recover", "again", "cut")

    assert answer(store) == RESULT, ended.stderr
    repeated = recorded & set(executions(marks) - before)
    assert not repeated, "ran again although its success was recorded"
    assert recovered(store, "again") <= recorded
    assert len(executions(marks)) == BODIES
    assert catalog(store).run("again").phase.is_success


def kill_point(seed: int) -> int:
    """Spread over the run, so that early, middle and late ends all occur."""
    width = BODIES // 10
    return 1 + seed * width + random.Random(seed).randrange(width)


def test_a_recovery_that_was_killed_is_recovered_itself(tmp_path: Path) -> None:
    store, marks = tmp_path / "store", tmp_path / "marks"
    killed(store, marks, "start", "first", str(marks), at=120, seed=1)
    killed(store, marks, "recover", "second", "first", at=3, seed=2)
    recorded = (succeeded(store, "first") | succeeded(store, "second")) - ROOT
    before = executions(marks)

    ended = script(store, "recover", "third", "second")

    assert answer(store) == RESULT, ended.stderr
    assert not recorded & set(executions(marks) - before)
    assert catalog(store).run("third").phase.is_success


@pytest.mark.soak
def test_kills_for_as_long_as_asked(tmp_path: Path) -> None:
    """Chains of up to four kills, until FLYTE_RAY_SOAK_S is over; the seed names the chain."""
    give_up_at = time.monotonic() + float(os.environ.get("FLYTE_RAY_SOAK_S", "60"))
    seed = random.SystemRandom().randrange(10**6)
    while time.monotonic() < give_up_at:
        seed += 1
        store, marks = tmp_path / f"store-{seed}", tmp_path / f"marks-{seed}"
        kill_a_chain(store, marks, seed)


def kill_a_chain(store: Path, marks: Path, seed: int) -> None:
    chance = random.Random(seed)
    order = ("start", "run-0", str(marks))
    recorded: set[str] = set()
    for link in range(1, chance.randint(2, 5)):
        killed(store, marks, *order, at=chance.randint(1, BODIES), seed=chance.randint(0, 10**6))
        recorded |= succeeded(store, f"run-{link - 1}") - ROOT
        order = ("recover", f"run-{link}", f"run-{link - 1}")
    before = executions(marks)
    ended = script(store, *order)
    assert answer(store) == RESULT, f"seed {seed}: {ended.stderr}"
    assert not recorded & set(executions(marks) - before), f"seed {seed}"
