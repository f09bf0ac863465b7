"""The cache and recovery: looking up among a million entries, warm reruns, adopting finished work.

    python -m benchmarks.cache [--entries 1000000] [--tasks 10000] [--only index|rerun|recovery]

`index`: one hit, one miss and batches of 10,000 keys, cold (a new reader) and warm, on a local
store and on one with 30 ms an operation, beside the naive design (one object per key) in one run.
`rerun`: a run of `--tasks` cached tasks, computed, then answered from the cache by a second run, in
local mode. `recovery`: a run of as many tasks that fails at its end; how long its recovery takes to
adopt them before the first new task begins.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import flyte_ray as flyte
from flyte_ray.store.cache_compaction import compact_cache
from flyte_ray.store.cache_index import Entry, StoredCache
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.parallel import in_parallel
from flyte_ray.testing import FaultyBlobs

OUTPUTS = '{"o0":{"codec":"json","type":"int","digest":"%064d","size":1,"inline":"%d"}}'
PUBLISHED = 10_000

env = flyte.TaskEnvironment(name="cache_bench")


@env.task(cache=flyte.Cache("auto", version_override="v1"))
async def cached(x: int) -> int:
    return x + 1


@env.task
async def fan_out(count: int) -> int:
    return sum(await asyncio.gather(*(cached(x) for x in range(count))))


@env.task
async def plain(x: int) -> int:
    return x + 1


@env.task
async def last(folder: str) -> float:
    began = time.monotonic()
    if not (Path(folder) / "mended").exists():
        raise flyte.errors.NonRecoverableError("NotYet", "fails until it is mended")
    return began


@env.task
async def recovered(folder: str, count: int) -> float:
    await asyncio.gather(*(plain(x) for x in range(count)))
    return await last(folder)


class Bucket(FaultyBlobs):
    """A local directory that says it is a bucket, so it is treated as one."""

    @property
    def url(self) -> str:
        return "emulated://bucket"


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def entries(first: int, last: int) -> list[Entry]:
    return [
        Entry(
            key=key(n),
            created_us=1_800_000_000_000_000 + n,
            run=f"run-{n // PUBLISHED}",
            action_id=key(-n)[:26],
            task="env.step",
            outputs=OUTPUTS % (n, n),
        )
        for n in range(first, last)
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def index(count: int, folder: Path) -> None:
    """Look-ups among `count` entries."""
    local = LocalBlobs(folder)
    writer = StoredCache(local)
    publishing = compacting = 0.0
    for first in range(0, count, PUBLISHED):
        new = entries(first, min(first + PUBLISHED, count))
        publishing += timed(lambda new=new: writer.publish(new))  # type: ignore[misc]
        if first // PUBLISHED % 50 == 49:
            compacting += timed(lambda: compact_cache(local))
    compacting += timed(lambda: compact_cache(local))
    size = sum(each.stat().st_size for each in (folder / "cache/shards").rglob("*"))
    print(
        f"{count} entries: published in {publishing:.1f} s, compacted in {compacting:.1f} s;"
        f" tiers {size / 1e6:.0f} MB"
    )
    naive = folder / "naive"
    naive.mkdir()
    half = [key(n) for n in range(5_000)] + [key(count + n) for n in range(5_000)]
    for each in half[:5_000]:
        (naive / each).write_text(OUTPUTS % (1, 1))
    for name, blobs in {"local": local, "30 ms": Bucket(local, latency_s=0.03)}.items():
        batches = {
            "one hit": [key(count // 2)],
            "one miss": [key(-1)],
            "10,000 keys, half of them hits": half,
            "10,000 misses": [key(count + n) for n in range(10_000)],
        }
        for what, keys in batches.items():
            cold, warm, reads = looked_up(blobs, keys)
            objects = timed(lambda keys=keys, blobs=blobs: one_object_per_key(blobs, keys))  # type: ignore[misc]
            print(
                f"{name:>6}  {what:<31} cold {cold * 1e3:8.1f} ms ({reads}), "
                f"fingerprints held {warm * 1e3:8.2f} ms, object per key {objects * 1e3:8.1f} ms"
            )


def looked_up(blobs: LocalBlobs | Bucket, keys: Sequence[str]) -> tuple[float, float, str]:
    """Seconds of a new reader, of one that has listed; what the first one asked of the store."""
    counted = blobs if isinstance(blobs, Bucket) else FaultyBlobs(blobs)
    counted.calls.clear()
    cold = timed(lambda: StoredCache(counted).look_up(keys))
    calls = Counter(operation for operation, _ in counted.calls)
    warm = []
    for _ in range(3):
        reader = StoredCache(blobs, refresh_s=3600)
        reader.refresh()
        warm.append(timed(lambda reader=reader: reader.look_up(keys)))  # type: ignore[misc]
    return cold, statistics.median(warm), ", ".join(f"{n} {name}" for name, n in calls.items())


def one_object_per_key(blobs: LocalBlobs | Bucket, keys: Sequence[str]) -> None:
    """The naive design: GET each."""

    def get(each: str) -> bytes | None:
        try:
            return blobs.get(f"naive/{each}")
        except FileNotFoundError:
            return None

    in_parallel(blobs, get, keys)


def rerun(count: int, folder: Path, others: int) -> None:
    """A run computes, the next ones are answered."""
    flyte.init(store=str(folder), mode="local")
    blobs = LocalBlobs(folder)
    first = timed(lambda: flyte.run(fan_out, count))
    if others:
        StoredCache(blobs).publish(entries(0, others))
    for tiers in (False, True):
        if tiers:
            compact_cache(blobs)
        where = "tiers" if tiers else "level 0"
        command = [sys.executable, "-m", "benchmarks.cache", "--again", str(folder)]
        taken, used = [], []
        for _ in range(5):  # a process each, as a user's second `python script.py` is one
            done = subprocess.run(
                [*command, "--tasks", str(count)], check=True, capture_output=True, text=True
            )
            wall, cpu = map(float, done.stdout.split()[-2:])
            taken.append(wall)
            used.append(cpu)
        print(
            f"{count} cached tasks: computed in {first:.2f} s; answered from {where}"
            f" ({others} other entries) in {statistics.median(taken):.2f} s"
            f" ({min(taken):.2f} to {max(taken):.2f}; CPU {statistics.median(used):.2f} s)"
        )


def again(count: int, folder: str) -> None:
    """One warm rerun in this process: seconds of `flyte.run`, and of CPU."""
    flyte.init(store=folder, mode="local")
    began = time.process_time()
    took = timed(lambda: flyte.run(fan_out, count))
    print(took, time.process_time() - began)


def recovery(count: int, folder: Path) -> None:
    """A run fails at its end; its recovery adopts the rest."""
    flyte.init(store=str(folder), mode="local")
    flyte.with_runcontext("local", background=True, name="first").run(
        recovered, str(folder), count
    ).wait(quiet=True)
    (folder / "mended").touch()
    taken = []
    for number in range(3):
        began = time.monotonic()
        run = flyte.with_runcontext("local", background=True).rerun("first", recover=True)
        run.wait(quiet=True)
        taken.append(run.outputs()[0] - began)
        if not number:
            phases = Counter(each.phase.value for each in run.actions())
    print(
        f"{count} finished actions adopted, before the first new task begins:"
        f" {', '.join(f'{each:.2f}' for each in taken)} s ({dict(phases)})"
    )


def main() -> None:
    """Run the parts, each in a fresh store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=0, help="other entries beside a rerun's")
    parser.add_argument("--only", choices=("index", "rerun", "recovery"))
    parser.add_argument("--again", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.again:
        again(wish.tasks, wish.again)
        return
    parts: dict[str, Callable[[Path], None]] = {
        "rerun": lambda folder: rerun(wish.tasks, folder, wish.others),
        "recovery": lambda folder: recovery(wish.tasks, folder),
        "index": lambda folder: index(wish.entries, folder),
    }
    for name, part in parts.items():
        if wish.only in (None, name):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                part(Path(folder))


if __name__ == "__main__":
    main()
