"""The four shapes of the public Flyte scaling benchmark, on this machine, with the record on.

    fan-out       n leaves of 0 s under one parent
    chain         n leaves of 0 s, one after the other
    concurrency   m leaves held for some time
    swarm         k runs, a few at a time, of n leaves of 1 s each

Each with two kinds of leaf: tasks of a pool (reusable environment), and timers that no worker
carries out (`plugin_config=Sleep()`). Fan-out and chain also with tasks of a plain environment, and
as raw Ray tasks under a Ray task. Every result is in the store (a local directory, no fsync) before
its parent sees it; raw Ray keeps nothing.

    python -m benchmarks.shapes [--shape fan-out chain concurrency swarm] [--scale 1.0] [--rounds 5]
                                [--leaves 6000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import ray

import flyte_ray as flyte
from flyte_ray.extras import Sleep

WARM_UP = 50
PAUSE_S = 3.0
"""Before each measurement: what came before still folds its record, or ends its workers."""

pool = flyte.TaskEnvironment(
    name="shapes-pool",
    reusable=flyte.ReusePolicy(replicas=2, concurrency=25_000, idle_ttl=600),
)
plain = flyte.TaskEnvironment(name="shapes-plain")
timers = flyte.TaskEnvironment(name="shapes-timers", plugin_config=Sleep())


@pool.task
async def warm(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


@plain.task
async def cold(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


@timers.task
async def timer(pause: timedelta) -> None: ...


def leaf(kind: str, seconds: float) -> asyncio.Future[None]:
    if kind == "timer":
        return timer(timedelta(seconds=seconds))
    return {"pool": warm, "plain": cold}[kind](seconds)


@plain.task
async def fan_out(kind: str, n: int, seconds: float) -> float:
    await asyncio.gather(*[leaf(kind, 0.0) for _ in range(WARM_UP)])
    began = time.perf_counter()
    await asyncio.gather(*[leaf(kind, seconds) for _ in range(n)])
    return time.perf_counter() - began


@plain.task
async def chain(kind: str, n: int, seconds: float) -> float:
    await asyncio.gather(*[leaf(kind, 0.0) for _ in range(WARM_UP)])
    began = time.perf_counter()
    for _ in range(n):
        await leaf(kind, seconds)
    return time.perf_counter() - began


@ray.remote
def raw_leaf() -> None:
    return None


@ray.remote
def raw_fan_out(n: int) -> float:
    ray.get([raw_leaf.remote() for _ in range(WARM_UP)])
    began = time.perf_counter()
    ray.get([raw_leaf.remote() for _ in range(n)])
    return time.perf_counter() - began


@ray.remote
def raw_chain(n: int) -> float:
    ray.get([raw_leaf.remote() for _ in range(WARM_UP)])
    began = time.perf_counter()
    for _ in range(n):
        ray.get(raw_leaf.remote())
    return time.perf_counter() - began


def seconds_of(task: object, kind: str, n: int, seconds: float = 0.0) -> float:
    """Seconds inside the parent."""
    run = flyte.with_runcontext(max_action_concurrency=100_000).run(task, kind, n, seconds)
    run.wait(quiet=True)
    return float(run.outputs()[0])


def memory_mib() -> float:
    """Memory of our processes: workers that run bodies, replicas, hosts. In MiB.

    Proportional (PSS): what processes share, mostly code, is counted once and not for each.
    """
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_text()
            if not line.startswith(("ray::shapes", "ray::Replica", "ray::Host", "ray::Pool")):
                continue
            text = (place / "smaps_rollup").read_text()
        except OSError:
            continue  # it ended just now
        total += int(text.partition("\nPss:")[2].split()[0])
    return total / 1024


def compared(
    name: str, raw: Callable[[], float], ours: dict[str, Callable[[], float]], n: int, rounds: int
) -> None:
    """All kinds in turns; medians."""
    took: dict[str, list[float]] = {"raw Ray": [], **{kind: [] for kind in ours}}
    for _ in range(rounds):
        for kind, measure in {"raw Ray": raw, **ours}.items():
            time.sleep(PAUSE_S)
            took[kind].append(measure())
    base = statistics.median(took["raw Ray"])
    for kind, each in took.items():
        middle = statistics.median(each)
        print(
            f"{name} of {n}, {kind}: {middle:.2f} s ({min(each):.2f} to {max(each):.2f}), "
            f"{middle / n * 1e3:.2f} ms a leaf, {middle / base:.2f} x raw Ray",
            flush=True,
        )


def held(kind: str, n: int, seconds: float) -> None:
    """So many leaves at once."""
    run = flyte.with_runcontext(max_action_concurrency=100_000).run(fan_out, kind, n, seconds)
    began, most = time.perf_counter(), 0.0
    while not run.done():
        most = max(most, memory_mib())
        time.sleep(2)
    run.raise_for_status()
    print(
        f"{n} held for {seconds:.0f} s, {kind}: {float(run.outputs()[0]):.1f} s, "
        f"{time.perf_counter() - began:.1f} s with the run around it, {most:.0f} MiB at most",
        flush=True,
    )


def swarm(kind: str, runs: int, n: int, at_once: int = 4) -> None:
    """Many runs, a few at a time; memory on the way."""
    began, memory, underway = time.perf_counter(), [], []
    for number in range(runs):
        underway.append(
            flyte.with_runcontext(max_action_concurrency=100_000).run(fan_out, kind, n, 1.0)
        )
        if len(underway) == at_once:
            underway.pop(0).wait(quiet=True)
        if number % 10 == 9:
            memory.append(memory_mib())
    for run in underway:
        run.wait(quiet=True)
    print(
        f"swarm of {runs} x {n} of 1 s, {kind}: {time.perf_counter() - began:.1f} s, "
        f"MiB every 10 runs: {' '.join(f'{each:.0f}' for each in memory)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    shapes = ["fan-out", "chain", "concurrency", "swarm"]
    parser.add_argument("--shape", nargs="*", default=shapes, choices=shapes)
    parser.add_argument("--kinds", nargs="*", default=["pool", "timer"])
    parser.add_argument("--scale", type=float, default=1.0, help="of the published sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--leaves", type=int, default=6000, help="of the fan-out")
    args = parser.parse_args()

    def size(full: int) -> int:
        return max(1, int(full * args.scale))

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    seconds_of(fan_out, "pool", 10)
    kinds = ["plain", *args.kinds]
    for name, task, raw, full in (
        ("fan-out", fan_out, raw_fan_out, args.leaves),
        ("chain", chain, raw_chain, 500),
    ):
        if name in args.shape:
            n = size(full)
            ours = {
                kind: (lambda kind=kind, task=task, n=n: seconds_of(task, kind, n))
                for kind in kinds
            }
            compared(name, lambda raw=raw, n=n: ray.get(raw.remote(n)), ours, n, args.rounds)
    for kind in args.kinds:
        if "concurrency" in args.shape:
            held(kind, size(40_000), 120.0 * min(1.0, args.scale * 10))
        if "swarm" in args.shape:
            swarm(kind, size(100), size(2000))


if __name__ == "__main__":
    main()
