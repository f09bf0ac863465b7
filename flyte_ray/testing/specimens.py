"""Tasks for the suites of `contracts`: each does one thing, well or badly.

They stand in a module of their own so that a worker of any executor can import them.
"""

from __future__ import annotations

import asyncio
import sys
import time

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.errors import NonRecoverableError

env = TaskEnvironment(name="specimens")


@env.task
def double(x: int) -> int:
    """Compute."""
    return 2 * x


@env.task
async def double_async(x: int) -> int:
    """Compute, awaited."""
    await asyncio.sleep(0)
    return 2 * x


@env.task
def fail(why: str) -> int:
    """Raise."""
    raise ValueError(why)


@env.task
async def fail_async(why: str) -> int:
    """Raise, awaited."""
    raise ValueError(why)


@env.task
def fail_for_good() -> int:
    """Raise what no retry can help."""
    raise NonRecoverableError("never again")


@env.task
def leave() -> int:
    """Try to end the process."""
    sys.exit(3)


@env.task
def lie() -> int:
    """Return something else than was promised."""
    return "no number"  # type: ignore[return-value]  # the point of it


@env.task
def talk() -> None:
    """Print."""
    sys.stdout.write("the specimen speaks\n")


@env.task
def idle(seconds: float) -> None:
    """Be busy with nothing, in small steps."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


@env.task
async def idle_async(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)
