"""A workflow whose bodies leave a line on disk for each time they run; started as a script.

    python squares.py start NAME FOLDER      a run over some 150 items
    python squares.py recover NAME SOURCE    the same, from where SOURCE stopped
    python squares.py await NAME -           find a run that somebody else started

`KILL_AT` kills this process with SIGKILL soon after that many bodies have begun in it; `KILL_SEED`
decides how soon. What the run came to is written to the file that `ANSWER` names: Ray speaks on
stdout too. `SHOWS=1` shows the progress; `BATCHES` makes the run smaller. `GATE` names a file: no
square ends before it is there.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import flyte_ray as flyte

BATCHES, SIZE = 14, 10
RESULT = sum(x * x for x in range(BATCHES * SIZE))
env = flyte.TaskEnvironment("squares")
FOR_MEMORY = 3
"""Retries: no body fails, but a machine that is short of memory may have workers killed."""

_begun = 0
_lock = threading.Lock()


def leave_mark(folder: str, name: str) -> None:
    """One line per execution: the process that ran it."""
    file = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{os.getpid()}\n".encode())
    os.close(file)
    global _begun
    with _lock:
        _begun += 1
        if _begun == int(os.environ.get("KILL_AT", "0")):
            threading.Thread(target=_die_soon, daemon=True).start()


def _die_soon() -> None:
    time.sleep(random.Random(os.environ["KILL_SEED"]).uniform(0, 0.03))
    os.kill(os.getpid(), signal.SIGKILL)


@env.task(retries=FOR_MEMORY)
async def square(x: int, folder: str, gate: str = "") -> int:
    leave_mark(folder, f"square-{x}")
    while gate and not Path(gate).exists():
        await asyncio.sleep(0.05)
    return x * x


@env.task(retries=FOR_MEMORY)
def batch(n: int, folder: str, gate: str = "") -> int:
    leave_mark(folder, f"batch-{n}")
    items = range(n * SIZE, (n + 1) * SIZE)
    return sum(flyte.map(square, items, [folder] * SIZE, [gate] * SIZE))


@env.task(retries=FOR_MEMORY)
async def whole(folder: str, batches: int = BATCHES, gate: str = "") -> int:
    leave_mark(folder, "whole")
    sums = [batch.aio(n, folder, gate) for n in range(batches)]
    return sum(await asyncio.gather(*sums))


def main(command: str, name: str, place: str) -> None:
    runner = flyte.with_runcontext(os.environ.get("MODE", "local"), name=name)
    if command == "start":
        batches = int(os.environ.get("BATCHES", str(BATCHES)))
        gate = os.environ.get("GATE", "")
        run = runner.run(whole, folder=place, batches=batches, gate=gate)
    elif command == "await":
        run = flyte.remote.Run.get(name)
    else:
        run = runner.rerun(place, recover=True)
    run.wait(quiet="SHOWS" not in os.environ)
    Path(os.environ["ANSWER"]).write_text(str(run.outputs()[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
