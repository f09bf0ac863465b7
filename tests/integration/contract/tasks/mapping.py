"""`map` in all its forms."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import flyte_ray as flyte
from flyte_ray.errors import RuntimeUserError
from tests.integration.contract.tasks.marks import count, leave, wait_for

env = flyte.TaskEnvironment(name="contract_mapping")
slots = env.clone_with(name="contract_mapping_slots", resources=flyte.Resources(cpu=0.1))


@env.task
async def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


@env.task
def scaled(factor: int, x: int, shift: int = 0) -> int:
    return factor * x + shift


@env.task
async def maps() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["async"] = [y async for y in flyte.map.aio(square, range(5))]
    found["sync in async"] = list(flyte.map(square, [3, 2]))
    found["partial"] = [y async for y in flyte.map.aio(partial(scaled, 10), [1, 2])]
    found["named"] = [y async for y in flyte.map.aio(partial(scaled, 10, shift=1), [1, 2])]
    found["zipped"] = [y async for y in flyte.map.aio(scaled, [1, 2, 3], [4, 5])]
    found["overridden"] = [y async for y in flyte.map.aio(square.override(retries=1), [6])]
    found["empty"] = [y async for y in flyte.map.aio(square, [])]
    found["grouped"] = [y async for y in flyte.map.aio(square, [7], group_name="named")]
    return found


@env.task
def maps_plainly() -> list[list[int]]:
    return [list(flyte.map(square, [1, 2])), list(flyte.map(partial(scaled, 2), [1, 2]))]


@env.task
async def maps_with_failures() -> dict[str, Any]:
    found: dict[str, Any] = {}
    results = [y async for y in flyte.map.aio(square, [1, -2, 3])]
    found["values"] = [y if isinstance(y, int) else [type(y).__name__, str(y)] for y in results]
    try:
        sum(results)
    except ValueError as error:
        found["sum"] = str(error)
    seen: list[int] = []
    strict = flyte.map.aio(square, [1, -2, 3], return_exceptions=False)
    try:
        while True:
            seen.append(await anext(strict))
    except RuntimeUserError as error:
        found["raised"] = [seen, error.code]
    wrong = []
    for call in (
        lambda: flyte.map(scaled, [1]),
        lambda: flyte.map(len, ["a"]),
        lambda: flyte.map(partial(scaled, factor=1), [1]),
    ):
        try:
            list(call())
        except TypeError as error:
            wrong.append(str(error))
    found["wrong"] = wrong
    return found


@slots.task
async def one_of_few(folder: str, x: int) -> int:
    leave(folder, "in")
    running = count(folder, "in") - count(folder, "out")
    await asyncio.sleep(0.02)
    leave(folder, "out")
    return running


@env.task
async def maps_a_few_at_once(folder: str) -> list[int]:
    return [y async for y in flyte.map.aio(partial(one_of_few, folder), range(8), concurrency=2)]


@env.task
async def maps_all_at_once(folder: str) -> list[int]:
    return [y async for y in flyte.map.aio(partial(one_of_few, folder), range(6))]


@slots.task
async def waits_for_the_others(folder: str, x: int) -> int:
    leave(folder, "met")
    await asyncio.to_thread(wait_for, folder, "met", 3)
    return x


@env.task
def maps_side_by_side(folder: str) -> list[int]:
    return list(flyte.map(partial(waits_for_the_others, folder), [1, 2, 3]))


@slots.task
async def lingers(folder: str, x: int) -> int:
    if x == 0:
        return x
    leave(folder, "lingering")
    try:
        await asyncio.sleep(300)
    except asyncio.CancelledError:
        leave(folder, "cancelled")
        raise
    return x


@env.task
async def leaves_early(folder: str) -> int:
    async for first in flyte.map.aio(partial(lingers, folder), [0, 1, 2]):
        await asyncio.to_thread(wait_for, folder, "lingering", 2)
        return int(first)
    return -1
