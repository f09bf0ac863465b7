"""Tasks with each kind of cache setting; every execution leaves a mark of the task's name."""

from __future__ import annotations

import asyncio

import flyte_ray as flyte
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_caching")
caching = flyte.TaskEnvironment(name="contract_caching_on", cache="auto")


@env.task(cache=True)
async def with_true(folder: str, x: int) -> int:
    leave(folder, "with_true")
    return x


@env.task(cache="auto")
def with_auto(folder: str, x: int) -> int:
    leave(folder, "with_auto")
    return x


@env.task(cache="enabled")
async def with_alias(folder: str, x: int) -> int:
    leave(folder, "with_alias")
    return x


@env.task(cache=flyte.Cache("override", version_override="v1"))
async def with_version(folder: str, x: int) -> int:
    leave(folder, "with_version")
    return x


@env.task(cache=flyte.Cache("auto", salt="pepper"))
async def with_salt(folder: str, x: int) -> int:
    leave(folder, "with_salt")
    return x


@env.task(cache="override")
async def with_override(folder: str, x: int) -> int:
    leave(folder, "with_override")
    return x


@env.task(cache=flyte.Cache("auto", ignored_inputs="noise"))
async def with_ignored(folder: str, x: int, noise: int) -> int:
    leave(folder, "with_ignored")
    return x


@caching.task
async def inherited(folder: str, x: int) -> int:
    leave(folder, "inherited")
    return x


@env.task(cache="auto")
async def gives_none(folder: str) -> None:
    leave(folder, "gives_none")


CACHED = [
    "with_true",
    "with_auto",
    "with_alias",
    "with_version",
    "with_salt",
    "with_override",
    "with_ignored",
    "inherited",
    "gives_none",
]


@env.task
async def uncached(folder: str, x: int) -> int:
    leave(folder, "uncached")
    return x


@env.task(cache="disable")
async def with_disable(folder: str, x: int) -> int:
    leave(folder, "with_disable")
    return x


@caching.task(cache=False)
async def with_false(folder: str, x: int) -> int:
    leave(folder, "with_false")
    return x


@env.task(cache=True)
async def fails(folder: str) -> None:
    leave(folder, "fails")
    raise ValueError("not for the cache")


NOT_CACHED = ["uncached", "with_disable", "with_false", "fails", "overridden"]


@env.task(cache=True)
async def overridden(folder: str, x: int) -> int:
    leave(folder, "overridden")
    return x


@env.task
async def calls_all(folder: str, x: int, noise: int) -> list[int | None]:
    found: list[int | None] = await asyncio.gather(
        with_true(folder, x),
        with_auto.aio(folder, x),
        with_alias(folder, x),
        with_version(folder, x),
        with_salt(folder, x),
        with_override(folder, x),
        with_ignored(folder, x, noise),
        inherited(folder, x),
        gives_none(folder),
        uncached(folder, x),
        with_disable(folder, x),
        with_false(folder, x),
        overridden.override(cache="disable")(folder, x),
    )
    try:
        await fails(folder)
    except ValueError:
        found.append(-1)
    return found


@env.task(cache=True)
async def cached_root(folder: str, x: int) -> list[int]:
    leave(folder, "cached_root")
    return [await with_true(folder, x)]


# ---- two versions of one task, told apart by what enters the key


@env.task
async def calls_with_options(folder: str, version: str, salt: str) -> None:
    task = with_true
    if version:
        task = task.override(cache=flyte.Cache("override", version_override=version))
    if salt:
        task = task.override(cache=flyte.Cache("auto", salt=salt))
    await task(folder, 1)


@env.task
async def calls_aged(folder: str, age_s: int) -> None:
    await with_true.override(cache=flyte.Cache("auto", max_age=age_s))(folder, 1)


@env.task(cache=True)
async def large(folder: str) -> bytes:
    leave(folder, "large")
    return folder.encode() * 10_000


@env.task
async def makes_a_large_value(folder: str) -> int:
    return len(await large(folder))
