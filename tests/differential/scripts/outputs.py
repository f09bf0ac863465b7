"""What comes back (§6, §32)."""

from typing import NamedTuple

import flyte
from said import attempt, run, say

env = flyte.TaskEnvironment(name="outputs")


class Pair(NamedTuple):
    a: int
    b: str


@env.task
async def one() -> int:
    return 1


@env.task
async def nothing() -> None:
    return None


@env.task
async def two() -> tuple[int, str]:
    return 1, "y"


@env.task
async def named() -> Pair:
    return Pair(1, "x")


@env.task
async def wrong_arity() -> tuple[int, int]:
    return (1, 2, 3)  # type: ignore[return-value]


@env.task
async def parent() -> str:
    pair, both = await named(), await two()
    return f"{tuple(pair)!r} {tuple(both)!r}"


@env.task
async def by_name() -> str:
    return (await named()).b


if __name__ == "__main__":
    for task in (one, nothing, two, named):
        found = run(task)
        say(task.name, tuple(found))
        say(f"{task.name} is a tuple", isinstance(found, tuple))
    say("named outputs", run(two).named_outputs)
    say("names of a NamedTuple", run(named).named_outputs)
    say("between tasks", run(parent)[0])
    attempt("fields between tasks", lambda: run(by_name)[0])
    attempt("wrong arity", lambda: run(wrong_arity))
