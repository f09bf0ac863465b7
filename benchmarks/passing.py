"""A large value through a chain of tasks: seconds and memory, beside raw Ray that passes refs.

One task makes 100 MiB, four more get it and hand it on. Raw Ray passes the reference along, and
uploads the value once, when it is made: the same bytes, written and renamed in a folder on the same
disk. Ours has its record on; its parent sees the value after each step (raw Ray's gets it once, at
the end). Sides take turns within one cluster.

Processor seconds are those of everything that the cluster's processes did meanwhile, so of ours the
beginning and closing of the run too; on a machine that others use, they tell more than the clock.

Memory is the peak over all workers, in a new cluster for each side (the pages of Ray's store stay
mapped when an object has gone), of what is theirs alone and their share of what they share (PSS),
above what they had after a chain of small values. A page that several have mapped counts once, so
an object in Ray's store does too.

    python -m benchmarks.passing [--mib 100] [--tasks 5] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

import flyte_ray as flyte

MIB = 1024 * 1024
MEMORY_EVERY_S = 0.02
"""Looking costs milliseconds, so rounds whose time counts do without."""
TICKS_EVERY_S = 0.1
env = flyte.TaskEnvironment(name="bench-passing")


# ---- what is passed


def made(kind: str, mib: float) -> Any:
    """A value whose bytes all count: random floats; for tables, prices, texts and counters too."""
    rng = np.random.default_rng(os.getpid())
    if kind == "numpy":
        return rng.random(int(mib * MIB / 8))
    rows = int(mib * MIB / 32)
    columns = {
        "at": pa.array(np.arange(rows) * 1_000_000, pa.timestamp("us")),
        "price": np.round(rng.random(rows) * 1000, 2),
        "noise": rng.random(rows),
        "count": rng.integers(0, 1000, rows),
    }
    return pa.table(columns)


def uploaded(value: Any, folder: str) -> None:
    """The one upload of raw Ray: an object with a name of its own, whole or not there."""
    place = Path(folder) / f"{time.time_ns()}"
    unfinished = place.with_suffix(".tmp")
    if isinstance(value, pa.Table):
        pq.write_table(value, unfinished, compression="zstd", compression_level=1)
    else:
        with unfinished.open("wb") as sink:
            np.lib.format.write_array(sink, value)
    unfinished.rename(place)


# ---- raw Ray


@ray.remote
def raw_make(kind: str, mib: float, folder: str) -> Any:
    value = made(kind, mib)
    uploaded(value, folder)
    return value


@ray.remote
def raw_hand(refs: list[Any]) -> list[Any]:
    ray.get(refs[0])
    return refs


@ray.remote
def raw_chain(kind: str, mib: float, tasks: int, folder: str) -> float:
    ray.get(raw_hand.remote([ray.put(1)]))
    began = time.perf_counter()
    refs = [raw_make.remote(kind, mib, folder)]
    for _ in range(tasks - 1):
        refs = ray.get(raw_hand.remote(refs))
    value = ray.get(refs[0])
    assert value.nbytes > mib * MIB / 2
    return time.perf_counter() - began


# ---- ours


@env.task
async def make(kind: str, mib: float) -> Any:
    return made(kind, mib)


@env.task
async def hand(value: Any) -> Any:
    return value


@env.task
async def chain(kind: str, mib: float, tasks: int) -> float:
    await hand(await make("numpy", 0.001))
    began = time.perf_counter()
    value = await make(kind, mib)
    for _ in range(tasks - 1):
        value = await hand(value)
    assert value.nbytes > mib * MIB / 2
    return time.perf_counter() - began


def ours(kind: str, mib: float, tasks: int) -> float:
    """Seconds inside the parent task."""
    run = flyte.run(chain, kind, mib, tasks)
    run.wait(quiet=True)
    return float(run.outputs()[0])


# ---- what the processes of the cluster hold and do


class Family:
    """All that this process has started."""

    def __init__(self) -> None:
        self._raylet = next(
            pid for pid in _children(os.getpid()) if b"raylet/raylet" in _read(pid, "cmdline")
        )

    def mib(self) -> float:
        """Sum of the workers' proportional set sizes."""
        return sum(_pss_kib(pid) for pid in _children(self._raylet)) / 1024

    def ticks(self) -> dict[int, int]:
        """Of processors, that each process has used."""
        return {pid: _ticks(pid) for pid in _descendants(os.getpid())}


class Watch:
    """Looks at the family all the time while something goes on."""

    def __init__(self, look: Callable[[], None], every_s: float) -> None:
        self._look = look
        self._every_s = every_s
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            self._look()


def peak_mib(family: Family, chained: Callable[[], float]) -> float:
    """The most that the family held above its beginning."""
    before, peak = family.mib(), 0.0

    def look() -> None:
        nonlocal peak
        peak = max(peak, family.mib() - before)

    with Watch(look, MEMORY_EVERY_S):
        chained()
    return peak


def clocked(family: Family, chained: Callable[[], float]) -> tuple[float, float]:
    """Seconds of the chain, and processor seconds of all, also of those that ended meanwhile."""
    before = family.ticks()
    after = dict(before)
    with Watch(lambda: after.update(family.ticks()), TICKS_EVERY_S):
        seconds = chained()
    used = sum(ticks - before.get(pid, 0) for pid, ticks in after.items())
    return seconds, used / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in _listed(Path(f"/proc/{pid}/task"))
        for child in _read(pid, f"task/{task.name}/children").split()
    ]


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _ticks(pid: int) -> int:
    return sum(map(int, _read(pid, "stat").rpartition(b")")[2].split()[11:13]))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # it has ended


def _pss_kib(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    return 0


@contextmanager
def cluster(mib: float) -> Iterator[tuple[str, Family]]:
    with tempfile.TemporaryDirectory() as folder:
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=int(20 * mib * MIB),
            include_dashboard=False,
            log_to_driver=False,
            # Keeps workers between rounds: starting one takes longer than the chain does.
            _system_config={
                "idle_worker_killing_time_threshold_ms": 60_000,
                "num_workers_soft_limit": 8,
            },
        )
        flyte.init(store=f"{folder}/store")
        yield folder, Family()
        ray.shutdown()


def sides(kind: str, mib: float, tasks: int, folder: str) -> dict[str, Callable[[], float]]:
    """What is compared, by name."""
    return {
        "raw Ray": lambda: float(ray.get(raw_chain.remote(kind, mib, tasks, folder))),
        "flyte_ray": lambda: ours(kind, mib, tasks),
    }


def main() -> None:
    """Time both sides in turns, then look at the memory of each by itself."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=float, default=100)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for kind in ("numpy", "arrow"):
        print(f"{kind}, {args.mib:.0f} MiB through {args.tasks} tasks", flush=True)
        times(kind, args)
        for name in ("raw Ray", "flyte_ray"):
            with cluster(args.mib) as (folder, family):
                for _ in range(3):  # so that all workers that will be needed are there
                    sides(kind, 0.01, args.tasks, folder)[name]()
                peak = peak_mib(family, sides(kind, args.mib, args.tasks, folder)[name])
            print(f"  {name:<10} peak memory {peak / args.mib:.2f} times the value", flush=True)


def times(kind: str, args: argparse.Namespace) -> None:
    """A round to warm up, then the measured ones, interleaved."""
    measured: dict[str, list[tuple[float, float]]] = {}
    with cluster(args.mib) as (folder, family):
        for turn in range(args.rounds + 1):
            for name, chained in sides(kind, args.mib, args.tasks, folder).items():
                took = clocked(family, chained)
                if turn:
                    measured.setdefault(name, []).append(took)
    for name, each in measured.items():
        seconds, cpu_s = (median(column) for column in zip(*each, strict=True))
        print(f"  {name:<10} {seconds:6.2f} s {cpu_s:6.2f} s of processors")
    raw, mine = measured.values()
    for place, what in enumerate(("seconds", "of processors")):
        pairs = [b[place] / a[place] for a, b in zip(raw, mine, strict=True)]
        print(
            f"  {what}: flyte_ray takes {median(pairs):.2f} times as much, in the median of pairs "
            f"({min(pairs):.2f} to {max(pairs):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
