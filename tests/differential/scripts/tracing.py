"""`@flyte.trace` (§16)."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import flyte
from said import attempt, attempt_async, run, say

env = flyte.TaskEnvironment(name="tracing")


@env.task
async def leaf(x: int) -> int:
    return x


@flyte.trace
async def doubled(x: int) -> int:
    return 2 * x


@flyte.trace
def tripled(x: int) -> int:
    return 3 * x


@flyte.trace
async def counted(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


@flyte.trace
def listed(n: int) -> Iterator[int]:
    yield from range(n)


@flyte.trace
async def wrong(x: int) -> int:
    return "x"  # type: ignore[return-value]


@flyte.trace
async def fails(x: int) -> int:
    raise KeyError("k")


@flyte.trace
async def calls_a_task(x: int) -> int:
    return await leaf(x)


@flyte.trace
async def nested(x: int) -> int:
    return await doubled(x) + await leaf.forward(x)


@flyte.trace
async def where() -> bool:
    here = flyte.ctx()
    return here.action.name != here.task_action.name


@env.task
async def parent() -> dict[str, str]:
    found = {"async": str(await doubled(2)), "nested": str(await nested(2))}
    found["async generator"] = str([i async for i in counted(3)])
    found["pseudo action"] = str(await where())
    found["wrong type"] = str(await attempt_async(lambda: wrong(1)))
    found["its own error"] = str(await attempt_async(lambda: fails(1)))
    found["a task inside"] = str(await attempt_async(lambda: calls_a_task(1)))
    return found


@env.task
def sync_parent() -> str:
    return f"{tripled(2)} {list(listed(3))}"


if __name__ == "__main__":
    for case, what in run(parent)[0].items():
        say(case, what)
    attempt("from a plain task", lambda: run(sync_parent)[0])
    say("outside", (asyncio.run(doubled(1)), tripled(1), list(listed(2))))
