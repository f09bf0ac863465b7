"""Tasks of which only one execution may happen, whoever asks; every execution leaves a mark."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import flyte_ray as flyte
from tests.integration.contract.tasks.marks import count, leave, wait_for

env = flyte.TaskEnvironment(name="contract_flying")

ONCE = flyte.Cache("auto", serialize=True)


@env.task(cache=ONCE)
async def once(folder: str, x: int) -> str:
    """Another value at each execution, so that sharing shows."""
    leave(folder, "once")
    await asyncio.sleep(0.2)
    return f"{x}-{uuid4().hex}"


@env.task(cache=ONCE)
async def waits_to_be_let_go(folder: str) -> str:
    leave(folder, "begun")
    await asyncio.to_thread(wait_for, folder, "go", 1)
    return uuid4().hex


@env.task(cache=ONCE)
async def fails_at_first(folder: str) -> str:
    if leave(folder, "tried") == 1:
        await asyncio.sleep(0.3)
        raise flyte.errors.NonRecoverableError("FirstFails", "the first one fails")
    return "the second one succeeds"


@env.task
async def asks_often(folder: str, times: int, keys: int = 1) -> list[str]:
    return list(await asyncio.gather(*(once(folder, n % keys) for n in range(times))))


@env.task
async def asks_for_the_slow_one(folder: str) -> str:
    return await waits_to_be_let_go(folder)


@env.task
async def asks_for_the_failing_one(folder: str) -> list[str]:
    told = await asyncio.gather(
        fails_at_first(folder), fails_at_first(folder), return_exceptions=True
    )
    return sorted(each if isinstance(each, str) else "an error" for each in told)


@env.task
async def gives_up(folder: str) -> str:
    """Cancels the holder; somebody else computes."""
    first = asyncio.ensure_future(waits_to_be_let_go(folder))
    await asyncio.to_thread(wait_for, folder, "begun", 1)
    second = asyncio.ensure_future(waits_to_be_let_go(folder))
    await asyncio.sleep(0.3)
    assert count(folder, "begun") == 1
    first.cancel()
    await asyncio.to_thread(wait_for, folder, "begun", 2)
    leave(folder, "go")
    return await second
