"""Who may call whom, and how (§4)."""

import asyncio
import inspect

import flyte
from said import attempt, attempt_async, run, say

env = flyte.TaskEnvironment(name="calls")


@env.task
async def async_leaf(x: int, y: int = 2) -> int:
    return x + y


@env.task
def sync_leaf(x: int, y: int = 2) -> int:
    return x * y


@env.task
async def async_parent() -> list[str]:
    call = async_leaf(1)
    found = [str(inspect.isawaitable(call)), str(await call)]
    found.append(str(await async_leaf.aio(2)))
    found.append(str(await sync_leaf.aio(3)))
    found.append(str(await attempt_async(lambda: sync_leaf(4))))
    return found


@env.task
def sync_parent() -> list[int]:
    async def several() -> list[int]:
        return list(await asyncio.gather(async_leaf(1), async_leaf(2)))

    return [sync_leaf(1), asyncio.run(async_leaf(2)), *asyncio.run(several())]


if __name__ == "__main__":
    say("async parent", run(async_parent)[0])
    say("sync parent", run(sync_parent)[0])
    say("sync outside", sync_leaf(3))
    say("async outside", asyncio.run(async_leaf(3)))
    say("forward", (sync_leaf.forward(1), asyncio.run(async_leaf.forward(1)), sync_leaf.func(2)))
    attempt("outside, no types are checked", lambda: sync_leaf("ab"))
    attempt("outside, wrong arguments", lambda: sync_leaf(1, 2, 3))
    attempt("run of no task", lambda: flyte.run(len))
