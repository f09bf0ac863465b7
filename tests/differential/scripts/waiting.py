"""asyncio's own forms work on calls (§0)."""

import asyncio

import flyte
from said import run, say

env = flyte.TaskEnvironment(name="waiting")


@env.task
async def leaf(x: int) -> int:
    return x


@env.task
async def slow(x: int) -> int:
    await asyncio.sleep(30)
    return x


@env.task
async def fails(x: int) -> int:
    raise ValueError(f"x{x}")


@env.task
async def parent() -> dict[str, str]:
    found: dict[str, str] = {}
    task = asyncio.create_task(slow(1))
    await asyncio.sleep(0.2)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        found["cancelled"] = "yes"
    done, _ = await asyncio.wait([asyncio.create_task(leaf(i)) for i in range(3)])
    found["wait"] = str(len(done))
    each = [await c for c in asyncio.as_completed([leaf(i) for i in range(3)])]
    found["as_completed"] = str(sorted(each))
    try:
        await asyncio.wait_for(slow(2), 0.2)
    except TimeoutError:
        found["wait_for"] = "timeout"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(leaf(i)) for i in range(2)]
    found["group"] = str([t.result() for t in tasks])
    mixed = await asyncio.gather(leaf(1), fails(2), return_exceptions=True)
    found["gather"] = f"{mixed[0]} {mixed[1]} {mixed[1].code}"
    return found


if __name__ == "__main__":
    for case, what in run(parent)[0].items():
        say(case, what)
