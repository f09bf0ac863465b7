"""A task that takes more memory than the node has; its parent asks for less and goes on.

python hungry.py NAME FOLDER TOO_MUCH_MIB      writes what it came to into the file ANSWER names
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import flyte_ray as flyte

env = flyte.TaskEnvironment("hungry", resources=flyte.Resources(cpu=1))
STEP_MIB = 32


@env.task(retries=1)
def devour(folder: str, mib: int) -> int:
    """Take memory step by step, so that the node's watch sees it coming."""
    (Path(folder) / f"devour-{mib}-{flyte.ctx().attempt_number}").touch()
    taken: list[bytes] = []
    while len(taken) * STEP_MIB < mib:
        taken.append(b"x" * (STEP_MIB * 2**20))
        time.sleep(0.02)
    time.sleep(2)
    return len(taken) * STEP_MIB


@env.task
async def dine(folder: str, mib: int) -> int:
    """Half as much, until it fits."""
    while True:
        try:
            return await devour.aio(folder, mib)
        except flyte.errors.OOMError as error:
            print(f"{mib} MiB: {error.code}")
            mib //= 16


if __name__ == "__main__":
    name, folder, mib = sys.argv[1:]
    run = flyte.with_runcontext("remote", name=name).run(dine, folder=folder, mib=int(mib))
    run.wait(quiet=True)
    Path(os.environ["ANSWER"]).write_text(str(run.outputs()[0]))
