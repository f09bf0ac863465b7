"""All tests, two lanes side by side: `python -m tests.lanes`. What `make test` runs.

Most tests wait for processes to start and to die, so one lane leaves a machine with two cores idle
half of the time. A lane is one pytest, with a folder of its own. Tests that share a cluster share a
lane. What failed is told again at the very end: whoever reads a log reads its last lines.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SIDE_BY_SIDE = 2 if (os.cpu_count() or 1) > 1 else 1
LANES = {
    "both engines": ["tests/integration/contract"],
    "on Ray": ["tests/integration", "--ignore=tests/integration/contract"],
    "chaos": ["tests/chaos"],
    "unit and architecture": ["tests/architecture", "tests/unit"],
}
"""The longest first."""
TOLD_AGAIN = 100
"""Last lines of a failed lane that are told again."""
ERROR, OF_A_TEST = "E  ", ("FAILED ", "ERROR ")
"""How pytest begins the lines of an error, and those of its summary."""


@dataclass(frozen=True)
class Outcome:
    """How one lane ended."""

    name: str
    code: int
    verdict: str
    last_lines: list[str]
    errors: list[str]
    """The first line of each error, then a line for each test that failed."""


def run(name: str, arguments: list[str], folder: Path) -> Outcome:
    """Run one lane to its end, showing what it says line by line."""
    began, place = time.monotonic(), folder / name.replace(" ", "-")
    last_lines: deque[str] = deque(maxlen=TOLD_AGAIN)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, f"--basetemp={place}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    errors, before = [], ""
    for line in process.stdout:
        last_lines.append(f"[{name}] {line}")
        print(last_lines[-1], end="", flush=True)
        first_of_error = line.startswith(ERROR) and not before.startswith(ERROR)
        if first_of_error or line.startswith(OF_A_TEST):
            errors.append(last_lines[-1])
        before = line
    code = process.wait()
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    ended = "passed" if code == 0 else f"FAILED (exit code {code})"
    verdict = f"== tests, {name}: {ended} in {minutes} min {seconds:02d} s"
    print(verdict, flush=True)
    return Outcome(name, code, verdict, list(last_lines), errors)


def tell_again(outcomes: list[Outcome]) -> None:
    """Print what lanes that failed said last, then their errors, then every lane's verdict."""
    failed = [outcome for outcome in outcomes if outcome.code]
    for outcome in failed:
        print(f"== tests, {outcome.name}: its last lines again")
        print("".join(outcome.last_lines), end="")
    for outcome in failed:
        print(f"== tests, {outcome.name}: its errors")
        print("".join(outcome.errors), end="")
    print("\n".join(outcome.verdict for outcome in outcomes), flush=True)


def main() -> int:
    """Run all lanes; 0 if all of them passed."""
    with (
        tempfile.TemporaryDirectory(prefix="fr", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(SIDE_BY_SIDE) as pool,
    ):
        print(f"== tests: {', '.join(LANES)}; {SIDE_BY_SIDE} side by side", flush=True)
        outcomes = list(pool.map(lambda lane: run(*lane, Path(folder)), LANES.items()))
    tell_again(outcomes)
    return 1 if any(outcome.code for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
