"""kill -9 of the demo at random points; its recovery runs nothing that was recorded.

The demo is `examples/source_miner`, started as its users start it, and killed at ten points: over a
few files in its own process for `make test`, over all 1,200 and on both engines for `make chaos`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from flyte_ray.core.model import ActionPhase
from flyte_ray.store.fold import ActionRecord
from tests.chaos.evidence import PATIENCE_S, ROOT, catalog, executions, surroundings
from tests.packages import FILES, two_packages
from tests.watching import seen

pytestmark = pytest.mark.chaos

POINTS = 10
STEPS = 6
"""Bodies other than the analyses."""


@dataclass(frozen=True, kw_only=True)
class Mine:
    """The demo with a store and a folder for the marks of its bodies."""

    folder: Path
    mode: str
    arguments: tuple[str, ...]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def killed(self, at: int) -> None:
        """Start the demo as run `cut`; kill its process when that many bodies have begun."""
        self.marks.mkdir(parents=True)
        demo = self._start("examples/source_miner/workflow.py", "--name", "cut", *self.arguments)
        begun = seen(
            lambda: len(executions(self.marks)) >= at or demo.poll() is not None,
            patience_s=PATIENCE_S,
            every_s=0.005,
        )
        demo.kill()
        assert begun, demo.communicate()
        demo.communicate()

    def recovered(self) -> str:
        """What the command prints that goes on from there, as run `again`."""
        command = ("-m", "flyte_ray", "rerun", "cut", "--recover", "--name", "again", "--follow")
        again = self._start(*command)
        said, problems = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0, said + problems
        return said

    def _start(self, *command: str) -> subprocess.Popen[str]:
        variables = {
            "FLYTE_RAY_MODE": self.mode,
            "MARKS": str(self.marks),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).with_name("marking")), os.environ.get("PYTHONPATH", "")]
            ),
        }
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=surroundings(self.store, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def phases(self, run: str) -> dict[str, ActionPhase]:
        """Where the actions below the root stand in the record, by the mark of their body."""
        actions = catalog(self.store).actions(run).values()
        return {_mark_of(action): action.phase for action in actions if action.parent_id}

    def successes(self, run: str) -> set[str]:
        """The marks of those that have succeeded by now."""
        return {mark for mark, phase in self.phases(run).items() if phase.is_success}


def _mark_of(action: ActionRecord) -> str:
    name = action.task.rpartition(".")[2]
    item = action.inputs.values.get("item") if action.inputs is not None else None
    return name if item is None else f"{name}-{json.loads(item.inline or 'null')}"


def kill_and_recover(mine: Mine, files: int, point: int) -> None:
    """One of the points; `files` is how many the demo looks at."""
    bodies = files + STEPS
    width = bodies / POINTS
    mine.killed(at=1 + int(point * width + random.Random(point).random() * width))
    recorded = mine.successes("cut")
    before = executions(mine.marks)

    mine.recovered()

    repeated = set(executions(mine.marks) - before) & recorded
    assert not repeated, "ran again although its success was recorded"
    ended = mine.phases("again")
    adopted = {mark for mark, phase in ended.items() if phase is ActionPhase.RECOVERED}
    # An embedded Ray outlives its driver by a moment, in which its host records what still ends.
    assert recorded <= adopted <= mine.successes("cut")
    assert all(phase.is_success for phase in ended.values())
    assert len(executions(mine.marks)) == len(ended) == bodies
    assert max(executions(mine.marks).values()) <= 2


@pytest.fixture
def small(tmp_path: Path) -> Mine:
    """The demo over two packages of 10 files each, in its own process."""
    packages = two_packages(tmp_path)
    return Mine(folder=tmp_path, mode="local", arguments=("--no-cache", "--packages", packages))


@pytest.mark.parametrize("point", range(POINTS))
def test_recovery_of_the_killed_demo_repeats_nothing_that_was_recorded(
    point: int, small: Mine
) -> None:
    kill_and_recover(small, FILES, point)


@pytest.mark.soak
@pytest.mark.parametrize("point", range(POINTS))
@pytest.mark.parametrize("mode", ["local", pytest.param("remote", marks=pytest.mark.integration)])
def test_recovery_of_the_whole_demo_repeats_nothing_that_was_recorded(
    mode: str, point: int, tmp_path: Path
) -> None:
    kill_and_recover(Mine(folder=tmp_path, mode=mode, arguments=("--no-cache",)), 1200, point)
