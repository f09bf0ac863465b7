"""What a parent and the caller of a run see of an error (§4, §34)."""

import sys

import flyte
import flyte.errors
from said import attempt, attempt_async, run, say, told

env = flyte.TaskEnvironment(name="failures")


class Own(Exception):
    pass


@env.task
async def value_error() -> int:
    raise ValueError("x")


@env.task
def sync_key_error() -> int:
    raise KeyError("k")


@env.task
async def own() -> int:
    raise Own("mine")


@env.task
async def non_recoverable() -> int:
    raise flyte.errors.NonRecoverableError("stop")


@env.task
async def custom() -> int:
    raise flyte.errors.CustomError("MyCode", "said")


@env.task
async def no_memory() -> int:
    raise MemoryError("mm")


@env.task
async def returns_nothing_declared():
    return 3


@env.task
async def wrong_type() -> int:
    return "x"  # type: ignore[return-value]


@env.task
async def bubbles() -> int:
    return await value_error()


@env.task
async def parent() -> dict[str, str]:
    tasks = [value_error, own, non_recoverable, custom, no_memory, returns_nothing_declared]
    found = {t.name: str(await attempt_async(t)) for t in [*tasks, wrong_type, bubbles]}
    found["sync"] = str(await attempt_async(sync_key_error.aio))
    try:
        await value_error()
    except flyte.errors.RuntimeUserError as error:
        found["by code"] = f"{error.code} {error} {error.kind}"
    return found


if __name__ == "__main__":
    for case, found in run(parent)[0].items():
        say(case, found)
    attempt("from run", lambda: run(value_error))
    attempt("through a parent", lambda: run(bubbles))
    say("told", told(flyte.errors.OOMError("OOM", "m")))
    assert "flyte" in sys.modules
