"""Pipelines that fail half-way, and what mends them: a file that appears."""

from __future__ import annotations

import asyncio
from pathlib import Path

import flyte_ray as flyte
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_recovering")


@env.task
async def prepare(folder: str, n: int) -> list[int]:
    leave(folder, "prepare")
    return list(range(n))


@env.task
async def item(folder: str, number: int) -> int:
    leave(folder, f"item-{number}")
    if number == 3 and not (Path(folder) / "fixed").exists():
        raise ValueError("item 3 is broken")
    return number * await helper(folder, number)


@env.task
async def helper(folder: str, number: int) -> int:
    leave(folder, "helper")
    return 10


@flyte.trace
async def noted(folder: str, what: str) -> None:
    leave(folder, f"noted-{what}")


@env.task
async def stage(folder: str, numbers: list[int]) -> list[int]:
    leave(folder, "stage")
    await noted(folder, "begin")
    found = await asyncio.gather(*(item(folder, n) for n in numbers), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found


@env.task
async def nothing(folder: str) -> None:
    leave(folder, "nothing")


@env.task
async def pipeline(folder: str, n: int, note: str = "plain") -> int:
    leave(folder, "pipeline")
    await nothing(folder)
    numbers = await prepare(folder, n)
    return sum(await stage(folder, numbers))
