"""Bodies that make something of their own of being told to stop."""

from __future__ import annotations

import asyncio
import threading
import time

from flyte_ray.author.environment import TaskEnvironment

env = TaskEnvironment(name="stubborn")
begun = threading.Event()


@env.task
async def returns_what_it_has() -> int:
    print("begun")
    begun.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pass
    return 1


@env.task
async def raises_an_error_of_its_own() -> int:
    print("begun")
    begun.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise RuntimeError("the request failed") from None
    return 1


@env.task
def returns_from_its_thread() -> int:
    print("begun")
    begun.set()
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
    except BaseException:
        return 1
    return 2


@env.task
def raises_in_its_thread() -> int:
    if returns_from_its_thread.func() == 1:
        raise RuntimeError("the request failed")
    return 2
