"""Tasks that call themselves and each other; a script: `python tree.py KINDS DEPTH WIDTH FILE`.

Every task asks for one CPU. KINDS (`sync,async`) grow side by side, a run each. FILE gets how many
tasks each tree had: on stdout Ray speaks too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import flyte_ray as flyte

env = flyte.TaskEnvironment("tree", resources=flyte.Resources(cpu=1))
FOR_MEMORY = 3
"""Retries: no body fails, but waiting parents take memory, and Ray may kill some for it."""


@env.task(retries=FOR_MEMORY)
def sync_node(depth: int, width: int) -> int:
    """A parent that blocks its thread while it waits."""
    if depth == 0:
        return 1
    return 1 + sum(flyte.map(sync_node, [depth - 1] * width, [width] * width))


@env.task(retries=FOR_MEMORY)
async def async_node(depth: int, width: int) -> int:
    """A parent that awaits."""
    if depth == 0:
        return 1
    return 1 + sum(await asyncio.gather(*[async_node(depth - 1, width) for _ in range(width)]))


@env.task(retries=FOR_MEMORY)
def mixed_sync(depth: int, width: int) -> int:
    """A parent that blocks, of parents that await."""
    if depth == 0:
        return 1
    return 1 + sum(flyte.map(mixed_async, [depth - 1] * width, [width] * width))


@env.task(retries=FOR_MEMORY)
async def mixed_async(depth: int, width: int) -> int:
    """A parent that awaits parents of both kinds, and calls one of them without awaiting it."""
    if depth == 0:
        return 1
    awaited = [
        mixed_sync.aio(depth - 1, width) if place % 2 else mixed_async(depth - 1, width)
        for place in range(width - 1)
    ]
    counts = await asyncio.gather(*awaited)
    return 1 + sum(counts) + await asyncio.to_thread(mixed_sync, depth - 1, width)


ROOTS = {"sync": sync_node, "async": async_node, "mixed": mixed_async}


def size(depth: int, width: int) -> int:
    """How many tasks the tree has."""
    return sum(width**level for level in range(depth + 1))


if __name__ == "__main__":
    kinds, depth, width, answer = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    runs = {kind: flyte.run(ROOTS[kind], depth=depth, width=width) for kind in kinds.split(",")}
    for run in runs.values():
        run.wait(quiet=True)
    Path(answer).write_text(json.dumps({kind: run.outputs()[0] for kind, run in runs.items()}))
