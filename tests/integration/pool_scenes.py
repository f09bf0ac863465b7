"""What users do with pools: one script, several scenes. `python pool_scenes.py ANSWERS SCENE...`"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import flyte_ray as flyte
from flyte_ray.core.context import current
from flyte_ray.runtime.reception import reception
from flyte_ray.store.local_blobs import LocalBlobs

VERSION = 1

wide = flyte.TaskEnvironment(
    name="wide", reusable=flyte.ReusePolicy(replicas=(1, 2), concurrency=4, idle_ttl=300)
)
narrow = flyte.TaskEnvironment(name="narrow", reusable=flyte.ReusePolicy(replicas=1, idle_ttl=300))
pair = flyte.TaskEnvironment(name="pair", reusable=flyte.ReusePolicy(replicas=2, idle_ttl=300))
plain = flyte.TaskEnvironment(name="plain")

served = 0


# ---- writes that are forced to the disk, in a worker and in a replica


def is_synced() -> bool:
    here = current()
    assert here is not None
    assert isinstance(here.store, LocalBlobs)
    return here.store._fsync


@narrow.task
async def synced_in_replica() -> bool:
    return is_synced()


@plain.task
async def synced() -> list[bool]:
    return [is_synced(), await synced_in_replica()]


# ---- warm state, shared by drivers


@wide.task
async def count() -> tuple[int, int]:
    global served
    served += 1
    return os.getpid(), served + 100 * VERSION


@plain.task
async def warm() -> list[int]:
    return list(await count())


# ---- recursion, and a full cluster of replicas that call plain tasks


@narrow.task
async def deep(n: int) -> int:
    return 0 if n == 0 else 1 + await deep(n - 1)


@narrow.task
def deep_sync(n: int) -> int:
    return 0 if n == 0 else 1 + deep_sync(n - 1)


@plain.task
async def leaf(x: int) -> int:
    return x


@pair.task
async def branch(x: int) -> int:
    return await leaf(x)


@plain.task
async def recursion() -> list[int]:
    branches = sum(await asyncio.gather(*[branch(n) for n in range(20)]))
    return [await deep(50), await deep_sync.aio(50), branches]


# ---- death under load


@wide.task(retries=0)
async def square(x: int, folder: str) -> int:
    Path(folder, str(os.getpid())).touch()
    return x * x


@plain.task
async def killed(folder: str, n: int) -> list[int]:
    calls = asyncio.gather(*[square(x, folder) for x in range(n)])
    while not (seen := [int(path.name) for path in Path(folder).iterdir()]):
        await asyncio.sleep(0.001)
    os.kill(seen[0], signal.SIGKILL)
    return [sum(await calls), sum(x * x for x in range(n)), seen[0]]


# ---- one caller's flood and another's call


async def appeared(file: Path) -> None:
    while not file.exists():
        await asyncio.sleep(0.01)


@narrow.task
async def slow(folder: str) -> float:
    """The first one of the flood holds the only slot until the guest is there."""
    Path(folder, "flooded").touch()
    await appeared(Path(folder, "guest"))
    await asyncio.sleep(0.05)
    return time.time()


@plain.task
async def flood(n: int, folder: str) -> float:
    return max(await asyncio.gather(*[slow(folder) for _ in range(n)]))


@plain.task
async def guest(folder: str) -> float:
    await appeared(Path(folder, "flooded"))
    Path(folder, "guest").touch()
    return await slow(folder)


@plain.task
async def crowd(folder: str) -> list[float]:
    return list(await asyncio.gather(guest(folder), flood(60, folder)))


# ---- callers that nobody can reach by a door of theirs


@plain.task
async def walled() -> list[int]:
    Path(reception().address(to_other_nodes=False).path).unlink()
    branches = await asyncio.gather(*[leaf(n) for n in range(5)])
    counts = await asyncio.gather(*[count() for _ in range(3)])
    return [sum(branches), len(set(counts))]


# ---- stopping


@wide.task
async def patient(folder: str) -> None:
    Path(folder, "began").touch()
    try:
        await asyncio.sleep(300)
    finally:
        Path(folder, "cleaned up").touch()


@narrow.task(timeout=timedelta(seconds=1))
def stuck() -> None:
    time.sleep(300)


@narrow.task
async def pid() -> int:
    return os.getpid()


@plain.task
async def stopping(folder: str) -> list[object]:
    call = asyncio.ensure_future(patient(folder))
    await appeared(Path(folder, "began"))
    call.cancel()
    await asyncio.wait([call])
    before = await pid()
    try:
        await stuck.aio()
        error = "none"
    except flyte.errors.TaskTimeoutError as caught:
        error = type(caught).__name__
    return [Path(folder, "cleaned up").exists(), error, before, await pid()]


# ---- a limit of the time in the queue


@wide.task(timeout=flyte.Timeout(max_queued_time=timedelta(seconds=4)))
async def outlasts_its_queue() -> str:
    await asyncio.sleep(5)
    return "to its end"


@plain.task
async def queued() -> list[str]:
    await count()  # the pool is there
    return [await outlasts_its_queue()]


def outcome(run: flyte.Run) -> object:
    run.wait(quiet=True)
    run.raise_for_status()
    return run.outputs()[0]


def main(answers: str, *scenes: str) -> None:
    folder = Path(answers).parent
    said = {}
    for scene in scenes:
        own = folder / f"{scene} marks"
        own.mkdir()
        arguments = {
            "killed": {"folder": str(own), "n": 10_000},
            "crowd": {"folder": str(own)},
            "stopping": {"folder": str(own)},
        }.get(scene, {})
        runner = flyte.with_runcontext(name=f"{scene}-{folder.name}")
        said[scene] = outcome(runner.run(globals()[scene], **arguments))
    Path(answers).write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
