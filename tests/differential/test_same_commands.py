"""`flyte run --local FILE TASK …` and `flyte-ray run --local --flyte-alias FILE TASK …` agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential.test_same_scripts import HERE, PYTHON, environment, pytestmark

__all__ = ["pytestmark"]

FILE = HERE / "commands" / "options.py"
_DRAWN = re.compile(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]")

COMMANDS = {
    "defaults": ["plain"],
    "plain options": [
        *("plain", "--i", "3", "--f", "2", "--s", "hello", "--b", "--no-on", "--o", "4"),
    ],
    "made of JSON": [
        *("made", "--l", "[1, 2]", "--d", '{"b": 2}', "--c", "BLUE"),
        *("--data", '{"a": 3}', "--model", "given.json"),
    ],
    "times": ["times", "--t", "2021-05-05", "--length", "10 minutes"],
    "lengths as clocks": ["times", "--t", "2021-05-05T01:02:03", "--length", "1:24"],
    "lengths as ISO": ["times", "--t", "2021-05-05", "--length", "P1DT2H"],
    "a file": ["reads", "--x", "3", "--file", "given.txt"],
    "a failure": ["fails"],
    "a missing option": ["reads", "--x", "3"],
    "a wrong member": ["made", "--l", "[]", "--c", "GREEN"],
    "no such task": ["nothing"],
    "no such option": ["plain", "--nope", "3"],
}


def carried_out(command: list[str], folder: Path) -> tuple[bool, str]:
    """Whether a command succeeded, and the result that it shows."""
    folder.mkdir()
    (folder / "given.json").write_text('{"a": 5}')
    (folder / "given.txt").write_text("hi")
    shutil.copy(FILE, folder)  # Flyte wants it below the working folder
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment(folder), capture_output=True, text=True
    )
    said = " ".join(_DRAWN.sub(" ", done.stdout + done.stderr).split())
    found = re.search(r"RESULT (.*?) END", said)
    return done.returncode == 0, found[1] if found else ""


@pytest.mark.parametrize("name", COMMANDS)
def test_both_carry_out_the_same(name: str, tmp_path: Path) -> None:
    call = [FILE.name, *COMMANDS[name]]
    flyte = str(Path(str(PYTHON)).with_name("flyte"))
    ours = str(Path(sys.executable).with_name("flyte-ray"))
    with ThreadPoolExecutor(2) as side:
        theirs = side.submit(carried_out, [flyte, "run", "--local", *call], tmp_path / "flyte")
        mine = [ours, "--no-progress", "run", "--local", "--flyte-alias", *call]
        assert side.submit(carried_out, mine, tmp_path / "ours").result() == theirs.result()
