"""All tests, two lanes side by side: `python -m tests.lanes`. What `make test` runs.

Most tests wait for processes to start and to die, so one lane leaves a machine with two cores idle
half of the time. A lane is one pytest, with a folder of its own. Tests that share a cluster share a
lane.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SIDE_BY_SIDE = 2 if (os.cpu_count() or 1) > 1 else 1
LANES = {
    "both engines": ["tests/integration/contract"],
    "on Ray": ["tests/integration", "--ignore=tests/integration/contract"],
    "chaos": ["tests/chaos"],
    "unit and architecture": ["tests/architecture", "tests/unit"],
}
"""The longest first."""


def run(name: str, arguments: list[str], folder: Path) -> int:
    """Run one lane to its end, showing what it says line by line; its exit code."""
    began, place = time.monotonic(), folder / name.replace(" ", "-")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, f"--basetemp={place}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        print(f"[{name}] {line}", end="", flush=True)
    code = process.wait()
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    verdict = "passed" if code == 0 else f"FAILED (exit code {code})"
    print(f"== tests, {name}: {verdict} in {minutes} min {seconds:02d} s", flush=True)
    return code


def main() -> int:
    """Run all lanes; 0 if all of them passed."""
    with (
        tempfile.TemporaryDirectory(prefix="fr", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(SIDE_BY_SIDE) as pool,
    ):
        print(f"== tests: {', '.join(LANES)}; {SIDE_BY_SIDE} side by side", flush=True)
        codes = pool.map(lambda lane: run(*lane, Path(folder)), LANES.items())
        return max(codes)


if __name__ == "__main__":
    sys.exit(main())
