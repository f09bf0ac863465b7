"""How long it takes to begin: importing the package, and a one-task script in local mode.

Whole processes, medians of `--rounds`, beside an empty Python process in the same run.

    python -m benchmarks.start [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """
import flyte_ray as flyte

env = flyte.TaskEnvironment(name="start")


@env.task
async def one(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    run = flyte.with_runcontext(mode="local").run(one, 1)
    assert run.outputs()[0] == 2
"""
LOADED = "import flyte_ray, sys; assert not {'ray', 'pyarrow', 'pydantic'} & set(sys.modules)"


def seconds(command: list[str], store: str) -> float:
    """Wall time of one process."""
    # As installed packages are: compiled. The warm-up round leaves what later ones load.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**kept, "FLYTE_RAY_STORE": store})
    return time.perf_counter() - began


def main() -> None:
    """Interleave the three and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "one_task.py"
        script.write_text(SCRIPT)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import flyte_ray": [sys.executable, "-c", LOADED],
            "one task, local mode": [sys.executable, str(script)],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                took = seconds(command, f"{folder}/store")
                if number:  # the first round warms the file cache
                    taken[name].append(took)
    empty = statistics.median(taken["python -c pass"])
    for name, each in taken.items():
        middle = statistics.median(each)
        print(f"{name}: {middle:.3f} s, {middle - empty:.3f} s more than an empty process")


if __name__ == "__main__":
    main()
