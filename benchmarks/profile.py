"""Where the time of a call goes: a fan-out into a warm pool, by process and by room.

CPU microseconds per leaf of each process of ours (from /proc), without a profiler; then the shares
of the caller's loop and of the replica's loop by room, from cProfile on the thread's own clock. The
profiler makes calls of small functions look dear: read the shares as a hint of where to look.

    python -m benchmarks.profile [--leaves 20000] [--rounds 5] [--rooms 14]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import ray

import flyte_ray as flyte

pool = flyte.TaskEnvironment(
    name="profile-pool",
    reusable=flyte.ReusePolicy(replicas=1, concurrency=25_000, idle_ttl=600),
)
plain = flyte.TaskEnvironment(name="profile-callers")
profiler: cProfile.Profile | None = None
KINDS = {"ray::profile-callers": "caller", "ray::Replica": "replica", "ray::Host": "host"}
TICKS = os.sysconf("SC_CLK_TCK")


@pool.task
async def leaf(number: int) -> None: ...


@pool.task
async def begin() -> None:
    """Profile the loop of this replica."""
    global profiler
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()


@pool.task
async def end() -> dict[str, float]:
    assert profiler is not None
    profiler.disable()
    return by_room(profiler)


@plain.task
async def fan_out(leaves: int, profiled: str) -> tuple[dict[str, float], float]:
    """The shares by room of whoever is profiled; leaves a second."""
    await asyncio.gather(*[leaf(n) for n in range(200)])
    here = cProfile.Profile(time.thread_time)
    if profiled == "replica":
        await begin()
    if profiled == "caller":
        here.enable()
    used = cpu_seconds()
    began = time.perf_counter()
    await asyncio.gather(*[leaf(n) for n in range(leaves)])
    took = time.perf_counter() - began
    if profiled == "caller":
        here.disable()
        return by_room(here), leaves / took
    if profiled == "replica":
        return await end(), leaves / took
    spent = {kind: total - used.get(kind, 0.0) for kind, total in cpu_seconds().items()}
    return {kind: each / leaves * 1e6 for kind, each in spent.items()}, leaves / took


def cpu_seconds() -> dict[str, float]:
    """CPU that our processes have used so far, by kind."""
    used: Counter[str] = Counter()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_text()
            stat = (place / "stat").read_text()
        except OSError:
            continue  # it ended just now
        for start, kind in KINDS.items():
            if line.startswith(start):
                fields = stat.rpartition(")")[2].split()
                used[kind] += (int(fields[11]) + int(fields[12])) / TICKS
    return dict(used)


def by_room(profile: cProfile.Profile) -> dict[str, float]:
    """Percent of the time by module: of ours in full, all else by its top package."""
    shares: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        ours = file.partition("/flyte_ray/")[2].removesuffix(".py")
        library = file.partition("/python3.")[2].partition("/")[2].removesuffix(".py")
        shares[ours or library or f"C: {name.split(' ')[0].strip('<{')}"] += own
    total = sum(shares.values())
    return {room: 100 * own / total for room, own in shares.most_common(40)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--leaves", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rooms", type=int, default=14)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        os.environ["FLYTE_RAY_STORE"] = store
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)

        def measured(profiled: str) -> tuple[dict[str, float], float]:
            context = flyte.with_runcontext(max_action_concurrency=100_000)
            run = context.run(fan_out, args.leaves, profiled)
            run.wait(quiet=True)
            time.sleep(3)  # the host folds the run's book, which is no part of a call
            found, rate = run.outputs()
            return found, rate

        rounds = [measured("") for _ in range(args.rounds)]
        for kind in KINDS.values():
            each = [found.get(kind, 0.0) for found, _ in rounds]
            print(f"{kind}: {statistics.median(each):.0f} us of CPU a leaf ({each})")
        print(f"{statistics.median(rate for _, rate in rounds):.0f} leaves a second", flush=True)
        for profiled in ("caller", "replica"):
            shares, _ = measured(profiled)
            print(f"-- {profiled}, its loop, percent by room")
            for room, share in list(shares.items())[: args.rooms]:
                print(f"{share:5.1f}  {room}")


if __name__ == "__main__":
    main()
