"""A small workflow whose lineage is known; importable, so that its code is found in a bundle."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import flyte_ray as flyte

env = flyte.TaskEnvironment(name="flows", cache="auto")


@dataclass
class Reading:
    city: str
    celsius: float
    note: str = "measured on the roof of the town hall"


@env.task
async def fetch(city: str) -> Reading:
    return Reading(city, 20.0 + len(city))


@env.task
async def mean(readings: list[Reading]) -> float:
    return sum(each.celsius for each in readings) / len(readings)


@env.task
async def scale(value: float, factor: float) -> float:
    return value * factor


@env.task(cache="disable")
async def climate(cities: list[str]) -> str:
    found = await asyncio.gather(*(fetch(city) for city in cities))
    warm = await mean(list(found))
    twice = await scale(warm, 2.0)
    return f"{twice:.1f} degrees"


@env.task(cache="disable")
async def fragile(cities: list[str], limit: float) -> float:
    found = await asyncio.gather(*(fetch(city) for city in cities))
    return await guard(found[0].celsius, limit)


@env.task(cache="disable", retries=0)
async def guard(value: float, limit: float) -> float:
    if value > limit:
        raise ValueError(f"{value} is above {limit}")
    return value
