"""PUBLIC: time and chance that stay what they were when a task is replayed.

A task that retries, or is recovered, runs its body again from the top, and may only take the road
it took before if time and chance answer as they did before. Each function here is a traced step:
the first answer is in the record, later attempts get that one. Outside of a task they are plain.

The rule to know: `sleep` records when it began; an attempt after it sleeps only what is left.
"""

from __future__ import annotations

import asyncio
import random as chance
import time as clock
from datetime import datetime

from flyte_ray._syncify import syncify
from flyte_ray.author.trace import trace

__all__ = ["now", "random", "sleep", "time"]


@trace
async def durable_time() -> float:
    """Seconds since 1970."""
    return clock.time()


@trace
async def durable_random() -> float:
    """A number from 0 up to 1."""
    return chance.random()


@trace
async def durable_sleep_began(seconds: float) -> float:
    """When a sleep of that length began, in seconds since 1970."""
    return clock.time()


@syncify
async def time() -> float:
    """Seconds since 1970, the same in every attempt of a task; `.aio` awaits.

    Example:
        >>> time() > 1.7e9
        True
    """
    return await durable_time()


@syncify
async def now() -> datetime:
    """The local time without a zone (as Flyte gives it), the same in every attempt; `.aio` awaits.

    Example:
        >>> now().tzinfo is None
        True
    """
    return datetime.fromtimestamp(await durable_time())  # noqa: DTZ006  Flyte's is naive


@syncify
async def random() -> float:
    """A random number from 0 up to 1, the same in every attempt of a task; `.aio` awaits.

    Example:
        >>> 0 <= random() < 1
        True
    """
    return await durable_random()


@syncify
async def sleep(seconds: float) -> None:
    """Pause; an attempt that comes after an interrupted one sleeps the rest. `.aio` awaits.

    The worker is held meanwhile. To hold none, use a task of an environment with
    `plugin_config=extras.Sleep()`.

    Raises:
        ValueError: less than no time.

    Example:
        >>> sleep(0.0)
    """
    if seconds < 0:
        raise ValueError(f"cannot sleep for {seconds} seconds")
    began = await durable_sleep_began(float(seconds))
    # Never longer than asked, though another machine's clock may be behind.
    await asyncio.sleep(min(seconds, max(0.0, began + seconds - clock.time())))
