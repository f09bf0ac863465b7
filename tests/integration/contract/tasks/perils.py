"""Tasks that lose their worker, or ask for what no node has."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta

import flyte_ray as flyte
from flyte_ray import errors
from tests.integration.contract.tasks.failing import quick
from tests.integration.contract.tasks.marks import leave, wait_for

env = flyte.TaskEnvironment(name="contract_perils")
greedy = env.clone_with(name="contract_perils_greedy", resources=flyte.Resources(gpu=64))
wide = env.clone_with(name="contract_perils_wide", resources=flyte.Resources(cpu=2))
idle = env.clone_with(name="contract_perils_idle", resources=flyte.Resources(cpu=0))


@env.task
def dies_once(folder: str, how: str) -> int:
    made = leave(folder, f"dies-{how}")
    if made == 1:
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)
    return made


@env.task
async def loses_workers(folder: str) -> list[int]:
    return await asyncio.gather(*(dies_once.aio(folder, how) for how in ("exit", "kill")))


@env.task
async def parent_dies(folder: str) -> list[int]:
    done = await leaves_a_mark(folder, "child")
    if leave(folder, "parent") == 1:
        os._exit(3)
    return [done, await leaves_a_mark(folder, "after")]


@env.task
async def leaves_a_mark(folder: str, name: str) -> int:
    return leave(folder, name)


@env.task
async def always_dies(folder: str) -> None:
    leave(folder, "always")
    os._exit(4)


@greedy.task
async def wants_64_gpus() -> str:
    return "had them"


@env.task(retries=quick(5))
async def asks_for_the_impossible() -> str:
    return await wants_64_gpus()


@env.task
async def survives_the_impossible() -> str:
    try:
        await wants_64_gpus()
    except errors.InfeasibleResourcesError as error:
        return str(error)
    return "had them"


@wide.task
def holds_the_cluster(folder: str) -> None:
    leave(folder, "holding")
    wait_for(folder, "let-go")


@env.task(
    timeout=flyte.Timeout(max_queued_time=timedelta(seconds=0.7)),
    retries=quick(1),
)
async def waits_in_line(folder: str) -> int:
    return leave(folder, "in line")


@idle.task
async def sees_a_full_queue(folder: str) -> list[str]:
    holder = asyncio.create_task(holds_the_cluster.aio(folder))
    await asyncio.to_thread(wait_for, folder, "holding")
    found = []
    try:
        await waits_in_line(folder)
    except errors.MaxQueuedTimeExceededError as error:
        found.append(error.code)
    leave(folder, "let-go")
    await holder
    found.append(
        str(await waits_in_line.override(timeout=flyte.Timeout(max_queued_time=60))(folder))
    )
    return found


@env.task
async def where_i_run() -> list[int]:
    return [os.getpid()]


@env.task
def sleeps(seconds: float) -> None:
    time.sleep(seconds)
