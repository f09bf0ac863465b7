"""Values cross by value, and defaults do not leak (§0)."""

import flyte
from said import run, say

env = flyte.TaskEnvironment(name="by_value")


@env.task
async def spoils(x: list[int], d: dict[str, int] = {"a": 1}) -> int:
    x.append(1)
    d["b"] = 2
    return len(d)


@env.task
async def parent() -> str:
    mine = [1]
    sizes = [await spoils(mine), await spoils(mine)]
    return f"{mine} {sizes}"


if __name__ == "__main__":
    say("untouched", run(parent)[0])
