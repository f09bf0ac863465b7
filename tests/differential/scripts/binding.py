"""How arguments bind inside a task (§4)."""

import flyte
from said import attempt_async, run, say

env = flyte.TaskEnvironment(name="binding")


@env.task
async def leaf(x: int, y: int = 2) -> int:
    return x + y


@env.task
async def parent() -> dict[str, str]:
    calls = {
        "positional": lambda: leaf(1, 2),
        "default": lambda: leaf(1),
        "keywords": lambda: leaf(y=1, x=1),
        "too many": lambda: leaf(1, 2, 3),
        "missing": lambda: leaf(),
        "unknown keyword": lambda: leaf(1, z=2),
        "given twice": lambda: leaf(1, x=2),
        "wrong type": lambda: leaf("one"),
        "int for float": lambda: half(3),
    }
    return {name: str(await attempt_async(call)) for name, call in calls.items()}


@env.task
async def half(x: float) -> float:
    return x / 2


if __name__ == "__main__":
    for case, found in run(parent)[0].items():
        say(case, found)
