"""Three limits of time: for one attempt, for waiting in the queue, for everything together.

python examples/timeouts.py
"""

import asyncio
import time
from datetime import timedelta

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="timeouts")


@env.task(timeout=timedelta(seconds=0.5), retries=1)
async def sleepy(first_nap_s: float) -> str:
    """Too slow on the first attempt, quick on the second: the limit holds per attempt."""
    if flyte.ctx().attempt_number == 0:
        await asyncio.sleep(first_nap_s)
    return "awake"


@env.task(timeout=flyte.Timeout(deadline=timedelta(seconds=1)), retries=100)
def stubborn() -> str:
    """Fail again and again; the deadline ends it although retries are left."""
    time.sleep(0.2)
    raise ConnectionError("not yet")


@env.task
async def slow(nap_s: float) -> str:
    await asyncio.sleep(nap_s)
    return "done"


@env.task
async def main() -> list[str]:
    said = [await sleepy.aio(first_nap_s=30)]
    try:
        await stubborn.aio()
    except flyte.errors.DeadlineExceededError:
        said.append("the deadline passed")
    except ConnectionError:
        said.append("out of retries")
    try:  # A parent may also be impatient: the child is aborted.
        await asyncio.wait_for(slow.aio(nap_s=30), timeout=0.5)
    except TimeoutError:
        said.append("not worth waiting for")
    return said


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main)
    run.wait()
    print(*run.outputs()[0], sep=", ")
