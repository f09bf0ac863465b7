"""Tasks that make large values, hand them on, and change them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray

import flyte_ray as flyte
from flyte_ray.core.context import current
from flyte_ray.runtime import addresses
from flyte_ray.runtime.copies import Laid

LENGTH = 1024 * 1024
"""Of floats: 8 MiB, enough for a fast copy beside a local store."""
AWAY = ".away"

plain = flyte.TaskEnvironment(name="contract_passing")
pool = flyte.TaskEnvironment(
    name="contract_passing_pool",
    reusable=flyte.ReusePolicy(replicas=1, concurrency=2, idle_ttl=60),
)


def objects(store: str) -> list[Path]:
    """The stored large values of the run that asks, but those taken away."""
    here = flyte.ctx()
    assert here is not None
    folder = Path(store) / "runs" / here.action.run_name / "values"
    return sorted(path for path in folder.glob("*") if path.suffix != AWAY)


def take_away(store: str) -> int:
    """What needs the store from now on fails; the number of objects."""
    found = objects(store)
    for path in found:
        path.rename(f"{path}{AWAY}")
    return len(found)


def bring_back(store: str) -> None:
    here = flyte.ctx()
    assert here is not None
    for path in (Path(store) / "runs" / here.action.run_name / "values").glob(f"*{AWAY}"):
        path.rename(path.with_suffix(""))


def _array() -> np.ndarray:
    return np.arange(float(LENGTH))


def _table() -> pa.Table:
    return pa.table({"a": np.random.default_rng(0).random(LENGTH), "b": np.arange(LENGTH)})


MAKERS: dict[str, Any] = {
    "array": _array,
    "table": _table,
    "frame": lambda: _table().to_pandas(),
    "bytes": lambda: bytes(range(256)) * (LENGTH // 32),
    "nested": lambda: {"left": [_array()], "right": _table()},
}


@plain.task
async def make(kind: str) -> Any:
    return MAKERS[kind]()


@plain.task
async def hand(value: Any) -> Any:
    return value


@pool.task
async def make_warm(kind: str) -> Any:
    return MAKERS[kind]()


@pool.task
async def hand_warm(value: Any) -> Any:
    return value


@plain.task
async def written(value: np.ndarray) -> np.ndarray:
    value[0] = -1.0
    return value


@plain.task
def first_of(value: np.ndarray) -> float:
    return float(value[0])


def alike(kind: str, value: Any) -> bool:
    expected = MAKERS[kind]()
    if kind == "nested":
        return bool((value["left"][0] == expected["left"][0]).all()) and value["right"].equals(
            expected["right"]
        )
    return (
        bool((value == expected).all())
        if kind == "array"
        else bool(value.equals(expected) if hasattr(value, "equals") else value == expected)
    )


@plain.task
async def without_the_store(kind: str, warm: bool, store: str) -> tuple[int, int, list[bool]]:
    """Objects of the value when it came home, those since, and whether each copy was right."""
    maker, hander = (make_warm, hand_warm) if warm else (make, hand)
    value = await maker(kind)
    were = take_away(store)
    right = [alike(kind, value)]
    for _ in range(2):
        value = await hander(value)
        right.append(alike(kind, value))
    since = len(objects(store))
    bring_back(store)
    return were, since, right


@plain.task
async def everyone_writes(store: str) -> tuple[list[float], int]:
    """First elements as each of them sees it, and how many objects there are."""
    mine = await make("array")
    theirs, same = await asyncio.gather(written(mine), hand(mine))
    mine[0] = 7.0
    seen = [await first_of.aio(mine), theirs[0], same[0], await first_of.aio(same)]
    return [float(each) for each in seen], len(objects(store))


@plain.task
async def claimed_by_another(store: str) -> tuple[bool, bool]:
    """A copy that claims to be another value is not believed: what the next task gets, and why."""
    here = current()
    assert here is not None
    value = await make("array")
    key = f"runs/{here.run.name}/values/{objects(store)[0].name}"
    wrong = ray.put(Laid(f"{key}0", [memoryview(value).cast("B")[::-1].tobytes()]))
    host = addresses.host_handle(here.run.options["host"])
    is_held = await host.hold.remote(here.run.name, key, [wrong], 1000)
    return alike("array", await hand(value)), is_held


@pool.task
async def pid() -> int:
    return os.getpid()


@plain.task
async def maker_killed(store: str) -> tuple[bool, bool]:
    """Whether the copy is lost with its maker, and the value right all the same."""
    here = current()
    assert here is not None
    value = (await make_warm("array")).copy()  # else its memory keeps the copy from being lost
    gc.collect()
    os.kill(await pid(), signal.SIGKILL)
    host = addresses.host_handle(here.run.options["host"])
    key = f"runs/{here.run.name}/values/{objects(store)[0].name}"
    (reference,), _ = await host.copy_of.remote(key)
    return await asyncio.to_thread(is_lost, reference), alike("array", await hand(value))


def is_lost(reference: Any) -> bool:
    """Whether an object goes, within a while."""
    for _ in range(100):
        try:
            ray.get(reference, timeout=10)
        except ray.exceptions.RayError:
            return True
        time.sleep(0.1)
    return False


@plain.task
async def handed_in(value: np.ndarray, store: str) -> tuple[int, int, float]:
    """An input of the run that is handed on: objects of this run before and after."""
    before = take_away(store)
    out = await hand(value)
    after = len(objects(store))
    bring_back(store)
    return before, after, float(out[-1])
