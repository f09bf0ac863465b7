"""Traced steps of every form, in tasks whose first attempt fails after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import flyte_ray as flyte
from flyte_ray import errors
from tests.integration.contract.tasks.failing import quick
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_tracing")


@flyte.trace
async def plain(folder: str, x: int) -> int:
    leave(folder, "plain")
    return x + 1


@flyte.trace
def sync(folder: str, x: int) -> int:
    leave(folder, "sync")
    return x + 2


@flyte.trace
async def none(folder: str) -> None:
    leave(folder, "none")


@flyte.trace
async def undeclared(folder: str):  # type: ignore[no-untyped-def]
    leave(folder, "undeclared")
    return {"a": [1, 2]}


@flyte.trace
async def items(folder: str, n: int) -> AsyncIterator[int]:
    for number in range(n):
        leave(folder, "items")
        yield number


@flyte.trace
def sync_items(folder: str, n: int) -> Iterator[str]:
    for number in range(n):
        leave(folder, "sync_items")
        yield str(number)


@flyte.trace
async def outer(folder: str) -> list[int]:
    leave(folder, "outer")
    return [await plain(folder, 10), await plain(folder, 10)]


@flyte.trace
async def breaks(folder: str) -> int:
    if leave(folder, "breaks") == 1:
        raise KeyError("once")
    return 5


@flyte.trace
async def breaks_for_good(folder: str) -> None:
    leave(folder, "for_good")
    raise errors.NonRecoverableError("for good")


@env.task(retries=quick(1))
async def traced(folder: str) -> list[object]:
    found: list[object] = [
        *await asyncio.gather(plain(folder, 1), plain(folder, 1), plain(folder, 2)),
        sync(folder, 1),
        await none(folder),
        await undeclared(folder),
        [item async for item in items(folder, 3)],
        list(sync_items(folder, 2)),
        await outer(folder),
    ]
    try:
        found.append(await breaks(folder))
    except KeyError:
        found.append("broken")
    try:
        await breaks_for_good(folder)
    except errors.NonRecoverableError as error:
        found.append(str(error))
    async for item in items(folder, 100):  # left early: no record of a success
        if item == 1:
            break
    if leave(folder, "body") == 1:
        raise RuntimeError("first attempt fails")
    return found


@env.task(retries=quick(1))
def traced_plainly(folder: str) -> list[object]:
    found: list[object] = [
        sync(folder, 1),
        list(sync_items(folder, 2)),
        asyncio.run(plain(folder, 1)),
    ]
    if leave(folder, "body") == 1:
        raise RuntimeError("first attempt fails")
    return found


@env.task
async def child() -> str:
    return "child"


@flyte.trace
async def calls_a_task(how: str) -> str:
    if how == "forward":
        return await child.forward()
    return await (child() if how == "call" else child.aio())


@flyte.trace
async def where() -> list[str]:
    here = flyte.ctx()
    return [here.action.name, here.task_action.name]


@env.task
async def asks_traces() -> list[object]:
    found: list[object] = []
    for how in ("call", "aio"):
        try:
            await calls_a_task(how)
        except errors.TraceDoesNotAllowNestedTasksError as error:
            found.append(error.code)
    found.append(await calls_a_task("forward"))
    found.append(await where())
    found.append(flyte.ctx().action.name)
    return found
