"""What the record costs, beside the naive design (one object per event), in one run.

Sequential: each event is acknowledged before the next. Fan-out: 10,000 actions (two events each)
handed in as they come. Both on a local directory, with and without fsync, and on one that takes
30 ms longer for each operation (`flyte_ray.testing.SlowBlobs`). Then reading: a run of 100,000 and
one of 1,000,000 actions, filtered and listed by a fresh process.

    python -m benchmarks.store [--actions 10000] [--steps 200] [--large 1000000] [--reading-only]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.final_tables import day_of, run_row
from flyte_ray.store.ledger import create_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.run_file import write_run
from flyte_ray.store.schemas import RUNS_VERSION
from flyte_ray.store.segments import decode, encode
from flyte_ray.store.summaries import merge_summaries
from flyte_ray.store.tables import write_table
from flyte_ray.testing import SlowBlobs

NAIVE_WRITERS = 64
VALUE = EncodedValue(codec="json", type="int", digest="d" * 64, size_bytes=1, inline="1")

FILTER = """
import time
began = time.perf_counter()
import sys
from pathlib import Path
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.action_list import ActionFilter
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.local_blobs import LocalBlobs
catalog = Catalog(LocalBlobs(Path(sys.argv[1])))
page = catalog.find_actions(sys.argv[2], ActionFilter(phase=ActionPhase.FAILED))
listed = catalog.find_actions(sys.argv[2], limit=100, offset=5000)
print(time.perf_counter() - began, time.process_time(), page.total, listed.total)
"""

NAIVE_FILTER = """
import time
began = time.perf_counter()
import sys
from pathlib import Path
from flyte_ray.core.model import EventKind
from flyte_ray.store.segments import decode
folder = Path(sys.argv[1])
events = [event for path in sorted(folder.iterdir()) for event in decode(path.read_bytes())]
failed = sum(event.kind is EventKind.FAILED for event in events)
print(time.perf_counter() - began, time.process_time(), failed, len(events))
"""


class Book(Protocol):
    """A book, ours or the naive one."""

    def note(self, events: list[Event]) -> None: ...
    def append(self, events: list[Event]) -> Future[None]: ...
    def close(self) -> None: ...


class ObjectPerEvent:
    """The naive design: each event is an object, put by one of many threads."""

    def __init__(self, blobs: Blobs, run: str) -> None:
        self._blobs = blobs
        self._run = run
        self._pool = ThreadPoolExecutor(NAIVE_WRITERS)
        self._count = 0

    def note(self, events: list[Event]) -> None:
        self.append(events)

    def append(self, events: list[Event]) -> Future[None]:
        self._count += 1
        key = f"naive/{self._run}/{self._count:09d}.parquet"
        number = self._count
        return self._pool.submit(lambda: self._put(key, events, number))

    def _put(self, key: str, events: list[Event], number: int) -> None:
        self._blobs.put_new(key, encode(events, number, 1))

    def close(self) -> None:
        self._pool.shutdown()


def payload(number: int) -> str:
    """One value, unlike that of any other number; digests do not compress."""
    text = str(number)
    digest = digest_bytes(text.encode())
    value = EncodedValue(codec="json", type="int", digest=digest, size_bytes=len(text), inline=text)
    return Payload(values={"x": value}).to_json()


def action_id(number: int) -> ActionId:
    return ActionId(digest_bytes(f"a{number}".encode())[:24])


def submitted(number: int) -> Event:
    return Event(
        kind=EventKind.SUBMITTED,
        at_us=utc_now_us(),
        action_id=action_id(number),
        parent_id=ROOT_ACTION,
        task="bench.step",
        phase=ActionPhase.QUEUED,
        inputs=payload(number),
        attrs={"identity": "i" * 64},
    )


def ended(number: int) -> Event:
    now = utc_now_us()
    failed = number % 1000 == 7
    return Event(
        kind=EventKind.FAILED if failed else EventKind.SUCCEEDED,
        at_us=now,
        action_id=action_id(number),
        parent_id=ROOT_ACTION,
        task="bench.step",
        attempt=1,
        phase=ActionPhase.FAILED if failed else ActionPhase.SUCCEEDED,
        outputs=None if failed else payload(-number),
        attrs={"started_us": now - 900, "ended_us": now, "node": "n", "worker": "w", "pid": 1},
    )


def spec(name: str) -> RunSpec:
    return RunSpec(
        name=RunName(name),
        store_url="bench",
        task="bench.main",
        address=TaskAddress(name="bench.main", module="bench"),
        task_identity="i" * 64,
        inputs=Payload(values={"x": VALUE}),
        started_us=utc_now_us(),
    )


def objects_below(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


@contextmanager
def stores() -> Iterator[dict[str, tuple[Path, Blobs]]]:
    with tempfile.TemporaryDirectory(prefix="flyte-ray-bench-") as folder:
        root = Path(folder)
        yield {
            "local": (root / "plain", LocalBlobs(root / "plain")),
            "local, fsync": (root / "fsync", LocalBlobs(root / "fsync", fsync=True)),
            "30 ms": (root / "slow", SlowBlobs(LocalBlobs(root / "slow"))),
        }


def chain(book: Book, steps: int) -> list[float]:
    """Milliseconds from handing in to acknowledgement, one after the other."""
    times = []
    for number in range(steps):
        began = time.perf_counter()
        book.append([ended(number)]).result()
        times.append((time.perf_counter() - began) * 1e3)
    return times


def fan_out(book: Book, actions: int) -> float:
    """Acknowledged events per second."""
    began = time.perf_counter()
    acks = []
    for number in range(actions):
        book.note([submitted(number)])
        acks.append(book.append([ended(number)]))
    for ack in acks:
        ack.result()
    return 2 * actions / (time.perf_counter() - began)


def measure_writing(steps: int, actions: int) -> None:
    designs: dict[str, Callable[[Blobs, str], Book]] = {
        "flyte_ray": lambda blobs, name: create_book(blobs, spec(name), "bench"),
        "one object per event": ObjectPerEvent,
    }
    print("| store | design | sequential p50 / p99, ms | fan-out, events/s | objects |")
    print("|---|---|---|---|---|")
    with stores() as there:
        for place, (folder, blobs) in there.items():
            for design, make in designs.items():
                book = make(blobs, "chain")
                times = sorted(chain(book, steps))
                book.close()
                before = objects_below(folder)
                book = make(blobs, "wide")
                rate = fan_out(book, actions)
                book.close()
                count = objects_below(folder) - before
                middle, late = statistics.median(times), times[int(len(times) * 0.99)]
                figures = f"{middle:.2f} / {late:.2f} | {rate:,.0f} | {count:,}"
                print(f"| {place} | {design} | {figures} |", flush=True)


def ask(script: str, *arguments: str) -> str:
    """Seconds of clock and of CPU that a fresh process needs, imports included; best of five."""
    command = [sys.executable, "-c", script, *arguments]
    found = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(5)]
    clock, cpu = (min(float(each.stdout.split()[n]) for each in found) for n in (0, 1))
    return f"{clock:.2f} | {cpu:.2f}"


def write_run_of(root: Path, name: str, actions: int) -> None:
    """A run with so many actions, as its host leaves it; every value differs."""
    book = create_book(LocalBlobs(root), spec(name), "bench")
    last: Future[None] = Future()
    for start in range(0, actions, 1000):
        numbers = range(start, min(start + 1000, actions))
        last = book.append([event for n in numbers for event in (submitted(n), ended(n))])
        last.result()
    book.finish("failed", {"succeeded": actions})
    book.close()


FOLD = """
import resource, sys, time
from pathlib import Path
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.local_blobs import LocalBlobs
began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
compact_run(LocalBlobs(Path(sys.argv[1])), sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{time.process_time():.1f} s | {peak // 1024} MiB | {(peak - began) // 1024} MiB")
"""


def fold(root: Path, name: str) -> str:
    """CPU seconds and peak memory of a process that folds a run, and does nothing else."""
    command = [sys.executable, "-c", FOLD, str(root), name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure_reading(large: int) -> None:
    with tempfile.TemporaryDirectory(prefix="flyte-ray-bench-") as folder:
        root = Path(folder)
        print("\n| folding a book at the end of its run | CPU | peak memory | above the start |")
        print("|---|---|---|---|")
        for name, actions in (("hundred", 100_000), ("million", large)):
            write_run_of(root, name, actions)
            print(f"| {actions:,} actions | {fold(root, name)} |", flush=True)
        naive = ObjectPerEvent(LocalBlobs(root), "naive")
        few = 5000
        for number in range(few):
            naive.append([submitted(number)])
            naive.append([ended(number)])
        naive.close()
        assert decode((root / "naive/naive/000000001.parquet").read_bytes())
        print("\n| a fresh process filters and lists | seconds | of CPU | goal |")
        print("|---|---|---|---|")
        print(f"| 100,000 actions | {ask(FILTER, folder, 'hundred')} | 1 |")
        print(f"| {large:,} actions | {ask(FILTER, folder, 'million')} | 2 |")
        one = ask(NAIVE_FILTER, str(root / "naive/naive"))
        print(f"| one object per event, {few:,} actions | {one} | |")


LIST_RUNS = """
import sys, time
from pathlib import Path
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.testing import SlowBlobs
blobs = LocalBlobs(Path(sys.argv[1]))
if sys.argv[2] == "slow":
    blobs = SlowBlobs(blobs)
began = time.perf_counter()
runs = Catalog(blobs).runs(100)
print(time.perf_counter() - began, time.process_time(), len(runs))
"""


def measure_listing(runs: int) -> None:
    """`get runs` where so many have ended, before and after their rows are merged."""
    with tempfile.TemporaryDirectory(prefix="flyte-ray-bench-") as folder:
        blobs = LocalBlobs(Path(folder))
        for number in range(runs):
            each = spec(f"r{number}")
            write_run(blobs, each)
            blobs.put_new(layout.owner(each.name, 1), b"{}")
            final = {"epoch": 1, "status": "succeeded", "ended_us": 1, "counts": {}}
            blobs.put_new(layout.final(each.name, 1), json.dumps(final).encode())
            row = write_table(run_row(each, final, None, 1), RUNS_VERSION, {})
            blobs.put(layout.run_summary(each.name, day_of(each)), row)
        print(f"\n| the newest 100 of {runs:,} runs, listed | local | 30 ms an operation |")
        print("|---|---|---|")
        for state in ("each with a file of its own", "merged"):
            local, slow = (ask(LIST_RUNS, folder, kind) for kind in ("local", "slow"))
            print(f"| {state} | {local} s of CPU | {slow} s of CPU |", flush=True)
            merge_summaries(blobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--reading-only", action="store_true")
    parser.add_argument("--listing-only", action="store_true")
    options = parser.parse_args()
    if not options.reading_only and not options.listing_only:
        measure_writing(options.steps, options.actions)
    if not options.listing_only:
        measure_reading(options.large)
    measure_listing(options.runs)
