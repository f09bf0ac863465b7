"""The same scripts under Flyte itself and under this package report the same, or differ knowingly.

Needs an interpreter that has the package `flyte`: the one of the tests, or that in `FLYTE_PYTHON`
(`make differential` makes one). Both sides run in this process's mode, without Ray. Each known
difference states what both sides say, so that a change of either is noticed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential.differences import KNOWN, Difference

HERE = Path(__file__).parent
SCRIPTS = sorted(path.stem for path in (HERE / "scripts").glob("*.py") if path.stem != "said")
MARK = "@case"

Said = dict[str, str]


def flyte_python() -> str | None:
    """An interpreter that can import Flyte."""
    named = os.environ.get("FLYTE_PYTHON")
    if named:
        return str(Path(named).absolute())
    return sys.executable if importlib.util.find_spec("flyte") else None


PYTHON = flyte_python()
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="the package flyte is not installed; see `make differential`"
)


def environment(folder: Path) -> dict[str, str]:
    """Variables of a side: a home and a store of its own, nobody's settings."""
    clean = {name: text for name, text in os.environ.items() if "FLYTE" not in name}
    return clean | {
        "HOME": str(folder),
        "FLYTE_RAY_STORE": str(folder / "store"),
        "PYTHONPATH": os.pathsep.join([str(HERE / "scripts"), str(HERE.parents[1])]),
        "PYTHONWARNINGS": "ignore",
    }


def said_by(command: list[str], folder: Path) -> Said:
    """What a script reports, by case."""
    folder.mkdir()
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.startswith(MARK)]
    return {case: value for _, case, value in lines}


@pytest.mark.parametrize("script", SCRIPTS)
def test_both_report_the_same(script: str, tmp_path: Path) -> None:
    path = str(HERE / "scripts" / f"{script}.py")
    with ThreadPoolExecutor(2) as side:
        theirs_later = side.submit(said_by, [str(PYTHON), path], tmp_path / "flyte")
        ours_later = side.submit(
            said_by, [sys.executable, str(HERE / "aliased.py"), path], tmp_path / "ours"
        )
    theirs, ours = theirs_later.result(), ours_later.result()
    assert set(theirs) == set(ours), "both reach every case"
    found = {case: (theirs[case], ours[case]) for case in theirs if theirs[case] != ours[case]}
    known = {each.case: (each.theirs, each.ours) for each in KNOWN if each.script == script}
    assert found == known


def test_every_known_difference_is_of_a_script_and_says_why() -> None:
    for each in KNOWN:
        assert isinstance(each, Difference)
        assert each.script in SCRIPTS and each.why
