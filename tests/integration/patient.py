"""A workflow that never ends by itself, and says all the while that it is alive.

    python patient.py NAME FOLDER      start a run and wait for it
    python patient.py                  no name: a run that ends at once; FAILS=1 makes it fail

Each running body writes to a file of its own in FOLDER, twenty times a second. LINGERS=1: one of
them, once it is told to stop, writes "stopping" there and takes a few seconds to end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import flyte_ray as flyte

# All of them fit on one CPU.
env = flyte.TaskEnvironment("patient", resources=flyte.Resources(cpu=0.2))
FOREVER = range(20 * 90)
"""A minute and a half: a body that was forgotten does not stay with the machine."""
LINGERS_S = 3.0


def beat(folder: str, name: str) -> None:
    """One sign of life."""
    with (Path(folder) / f"{name}-{os.getpid()}").open("a") as file:
        file.write(".")


@env.task
def plain(folder: str, name: str = "plain") -> int:
    for _ in FOREVER:
        beat(folder, name)
        time.sleep(0.05)
    return 0


@env.task
async def awaiting(folder: str, name: str = "awaiting", lingers: bool = False) -> int:
    try:
        for _ in FOREVER:
            beat(folder, name)
            await asyncio.sleep(0.05)
    finally:
        if lingers:
            beat(folder, "stopping")
            await asyncio.sleep(LINGERS_S)
    return 0


@env.task
def blocked(folder: str) -> int:
    """A sync parent that waits for its children."""
    return sum(flyte.map(awaiting, [folder] * 2, ["below-1", "below-2"]))


@env.task
async def whole(folder: str, lingers: bool) -> int:
    bodies = plain.aio(folder), awaiting(folder, lingers=lingers), blocked.aio(folder)
    return sum(await asyncio.gather(*bodies))


@env.task
def brief(fails: bool) -> str:
    if fails:
        raise ValueError("as it was asked to")
    return os.environ.get("GREETING", "done")


def main(name: str, folder: str) -> None:
    runner = flyte.with_runcontext(os.environ.get("MODE", "remote"), name=name)
    if not folder:
        run = runner.run(brief, fails="FAILS" in os.environ)
        print(f"started {run.name}", flush=True)
        return
    run = runner.run(whole, folder=folder, lingers="LINGERS" in os.environ)
    run.wait(quiet=True)
    print(run.phase)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ("brief", "")))
