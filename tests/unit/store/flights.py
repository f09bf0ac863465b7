"""Many processes claim the same keys in one store; some are killed, some are stopped and woken.

    python -m tests.unit.store.flights ROOT --processes 64 --keys 1000 [--kill N] [--stop N]

Each process is a run of its own with a heartbeat. Prints one JSON object: how often each key was
computed, and how many different values its claimants were told (see `Tally`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from flyte_ray.core.ids import RunName
from flyte_ray.store.leases import Claim, Leases, Result
from flyte_ray.store.liveness import Liveness, WatchPace
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.run_file import write_heartbeat

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came of a race."""

    keys: int
    """Keys of which somebody was told a value."""
    computed: int
    """Computations in all."""
    most_computed: int
    """Of one key."""
    most_values: int
    """Different values that claimants of one key were told."""
    told: int
    """Claimants that got a value, over all keys."""
    late: int
    """Results that came too late and changed nothing."""
    seconds: float


def race(root: Path, *, processes: int, keys: int, kill: int = 0, stop: int = 0) -> Tally:
    """Run the race in a process of its own (it forks)."""
    wishes = {"processes": processes, "keys": keys, "kill": kill, "stop": stop}
    options = [part for name, value in wishes.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.unit.store.flights", str(root), *options]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return Tally(**json.loads(done.stdout))


def claimant(root: Path, name: str, keys: list[str], pace: WatchPace, fate: int | None) -> None:
    """One process: asks for every key until it has every value.

    `fate`: the signal that strikes it while it computes its first key.
    """
    blobs = LocalBlobs(root / "store")
    leases = Leases(blobs, name, 1, Liveness(blobs, pace))
    threading.Thread(target=_beat, args=(blobs, name, pace.look_s), daemon=True).start()
    random.Random(name).shuffle(keys)
    notes = (root / f"{name}.notes").open("a", buffering=1)
    left = keys
    while left:
        waiting = []
        for key in left:
            answer = leases.claim(key, name, lambda _: True)
            if isinstance(answer, Claim):
                value = f"{name}-{answer.token}"
                notes.write(f"computed {key} {value}\n")
                if fate is not None:
                    (root / f"{name}.struck").touch()
                    os.kill(os.getpid(), fate)
                    fate = None
                if not leases.finish(answer, value, 1):
                    notes.write(f"late {key} {value}\n")
                    waiting.append(key)
                    continue
                notes.write(f"told {key} {value}\n")
            elif isinstance(answer, Result):
                notes.write(f"told {key} {answer.outputs}\n")
            else:
                waiting.append(key)
        if len(waiting) == len(left):
            time.sleep(pace.poll_s)
        left = waiting


def _beat(blobs: LocalBlobs, name: str, every_s: float) -> None:
    count = 0
    while True:
        count += 1
        write_heartbeat(blobs, RunName(name), 1, count)
        time.sleep(every_s)


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def main() -> None:
    """Fork, wait for those who live, wake those who were stopped, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    for name in ("processes", "keys", "kill", "stop"):
        parser.add_argument(f"--{name}", type=int, default=0)
    wish = parser.parse_args()
    keys = [f"{number:064x}" for number in range(wish.keys)]
    harassed = wish.kill + wish.stop > 0
    # Undisturbed, nobody may be taken for dead, however slow the machine: exactly one computes.
    pace = WatchPace(look_s=0.2, ttl_s=2.0 if harassed else 3600.0, poll_s=0.02)
    began = time.monotonic()
    fates = [signal.SIGKILL] * wish.kill + [signal.SIGSTOP] * wish.stop
    stopped, others = [], []
    for number in range(wish.processes):
        fate = fates[number] if number < len(fates) else None
        child = os.fork()
        if child == 0:
            claimant(wish.root, f"r{number}", list(keys), pace, fate)
            os._exit(0)
        (stopped if fate is signal.SIGSTOP else others).append(child)
        if fate is not None:
            _wait_for(wish.root / f"r{number}.struck")
    for child in others:
        os.waitpid(child, 0)
    for child in stopped:
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
    print(json.dumps(asdict(_tally(wish.root, time.monotonic() - began))))


def _tally(root: Path, seconds: float) -> Tally:
    computed: Counter[str] = Counter()
    values: dict[str, set[str]] = defaultdict(set)
    told = late = 0
    for notes in root.glob("*.notes"):
        for line in notes.read_text().splitlines():
            what, key, value = line.split()
            computed[key] += what == "computed"
            late += what == "late"
            if what == "told":
                told += 1
                values[key].add(value)
    return Tally(
        keys=len(values),
        computed=computed.total(),
        most_computed=max(computed.values()),
        most_values=max(len(each) for each in values.values()),
        told=told,
        late=late,
        seconds=round(seconds, 1),
    )


if __name__ == "__main__":
    main()
