"""`flyte.map` (§14)."""

import functools

import flyte
from said import run, say, told

env = flyte.TaskEnvironment(name="mapping")


@env.task
async def leaf(x: int) -> int:
    return x * 10


@env.task
def sync_leaf(x: int) -> int:
    return x * 100


@env.task
async def add(x: int, y: int) -> int:
    return x + y


@env.task
async def fails(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x


@env.task
async def parent() -> dict[str, str]:
    found: dict[str, str] = {}
    found["order"] = str([x async for x in flyte.map.aio(leaf, range(4))])
    found["zip"] = str([x async for x in flyte.map.aio(add, [1, 2, 3], [10, 20])])
    found["generator"] = str([x async for x in flyte.map.aio(leaf, (i for i in range(2)))])
    found["limited"] = str([x async for x in flyte.map.aio(leaf, range(4), concurrency=2)])
    found["nothing"] = str([x async for x in flyte.map.aio(leaf, [])])
    found["sync task"] = str([x async for x in flyte.map.aio(sync_leaf, [1, 2])])
    found["partial"] = str([x async for x in flyte.map.aio(functools.partial(add, y=5), [1, 2])])
    values = [x async for x in flyte.map.aio(fails, [1, 2, 3])]
    found["exceptions are values"] = str(
        [told(v) if isinstance(v, Exception) else v for v in values]
    )
    try:
        sum(values)
    except Exception as error:
        found["arithmetic raises"] = told(error)
    try:
        found["raises"] = str(
            [x async for x in flyte.map.aio(fails, [1, 2, 3], return_exceptions=False)]
        )
    except Exception as error:
        found["raises"] = told(error)
    for name, partial in {
        "partial of the first": functools.partial(add, x=5),
        "partial of none": functools.partial(add),
        "partial of all": functools.partial(add, 1, 2),
    }.items():
        try:
            found[name] = str([x async for x in flyte.map.aio(partial, [1])])
        except Exception as error:
            found[name] = told(error)
    return found


@env.task
def sync_parent() -> list[int]:
    return list(flyte.map(sync_leaf, [1, 2]))


if __name__ == "__main__":
    for case, what in run(parent)[0].items():
        say(case, what)
    say("sync parent", run(sync_parent)[0])
    say("outside", list(flyte.map(sync_leaf, [1, 2])))
