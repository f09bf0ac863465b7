"""One program with everything that has a name: equal calls, groups, traces, maps, failures."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass

import flyte_ray as flyte
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from tests.integration.contract.tasks.failing import quick

env = flyte.TaskEnvironment(name="contract_program")
logger = logging.getLogger("contract.program")
logger.addHandler(logging.StreamHandler())  # as an author's `basicConfig` does, before any run


@dataclass
class Sample:
    """A value with parts."""

    name: str
    weights: dict[str, float]


@env.task
async def weigh(sample: Sample, factor: float = 1.0) -> float:
    return factor * sum(sample.weights.values())


@env.task
def shout(word: str) -> str:
    return word.upper()


@env.task(retries=quick(1))
async def fails(word: str) -> str:
    print(f"about to fail {word}")
    raise ValueError(word)


@flyte.trace
async def noted(x: int) -> int:
    return x + 1


@env.task
async def inner(n: int) -> list[float]:
    sample = Sample("s", {"b": 2.0, "a": float(n)})
    twice = [weigh(sample), weigh(sample), weigh(sample, 2)]
    return await asyncio.gather(*twice)


@env.task
async def program(n: int) -> list[str]:
    found = [str(await inner(n)), str(await inner(n)), str(await noted(n)), str(await noted(n))]
    with flyte.group("words"):
        found += await asyncio.gather(*(shout.aio(word) for word in ("a", "b", "a")))
    async for word in flyte.map.aio(shout, ["x", "y"]):
        found.append(word)
    try:
        await fails("on purpose")
    except ValueError as error:
        found.append(str(error))
    return found


# ---- what the record holds


@env.task
async def speaks(word: str) -> str:
    print(f"printed {word}")
    print(f"to stderr {word}", file=sys.stderr)
    logger.warning("logged %s", word)
    flyte.logger.warning("logged by flyte %s", word)
    return word * 2


@env.task
def speaks_at_length(lines: int) -> int:
    for number in range(lines):
        print(f"line {number}")
    return lines


@env.task
async def large(size: int) -> bytes:
    return b"x" * size


@env.task
async def talk() -> list[str]:
    said = await asyncio.gather(*(speaks(word) for word in ("left", "right")))
    await speaks_at_length.aio(2000)
    blob = await large(100_000)
    return [*said, str(await size_of(blob))]


@env.task
async def size_of(blob: bytes) -> int:
    return len(blob)


@env.task
async def looks_up_its_child(store: str, folder: str) -> list[str]:
    await speaks("first")
    catalog = Catalog(open_blobs(store))
    run = flyte.ctx().action.run_name
    assert run is not None
    found = catalog.actions(run).values()
    return [a.phase.value for a in found if a.task.endswith(".speaks")]
