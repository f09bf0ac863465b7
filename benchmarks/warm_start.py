"""How soon a task of a warm pool begins when another driver calls it.

One process starts a cluster and warms the pool. Then new driver processes attach, one after the
other, each in a run of its own: a parent calls a task of the pool many times, one call after the
other, and the task says when its first line ran (one machine, one clock). Also: a task of the pool
as the root of a run, from `flyte.run` in the driver to its first line.

    python -m benchmarks.warm_start [--drivers 5] [--calls 200] [--roots 20]
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

import ray

import flyte_ray as flyte

pool = flyte.TaskEnvironment(
    name="warm-start", reusable=flyte.ReusePolicy(replicas=1, concurrency=8, idle_ttl=600)
)
plain = flyte.TaskEnvironment(name="warm-start-callers")


@pool.task
async def first_line() -> int:
    return time.time_ns()


@plain.task
async def caller(calls: int) -> list[float]:
    """Milliseconds from each call to the first line of the body."""
    found = []
    for _ in range(calls):
        began = time.time_ns()
        found.append((await first_line() - began) / 1e6)
    return found


def root_ms() -> float:
    began = time.time_ns()
    run = flyte.run(first_line)
    run.wait(quiet=True)
    return float(run.outputs()[0] - began) / 1e6


def as_driver(calls: int, roots: int) -> None:
    """What a new driver finds, as JSON."""
    flyte.init()
    run = flyte.run(caller, calls)
    run.wait(quiet=True)
    print(json.dumps({"calls": run.outputs()[0], "roots": [root_ms() for _ in range(roots)]}))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def told(what: str, values: list[float]) -> None:
    print(
        f"{what}: p50 {statistics.median(values):.2f} ms, p99 {percentile(values, 0.99):.2f} ms "
        f"({len(values)} of them, {min(values):.2f} to {max(values):.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--drivers", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--roots", type=int, default=20)
    parser.add_argument("--as-driver", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_driver:
        as_driver(args.calls, args.roots)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as store:
        os.environ["FLYTE_RAY_STORE"] = store
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        flyte.init()
        flyte.run(caller, 20).wait(quiet=True)
        environment = {
            **os.environ,
            "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
            "RAY_AUTH_MODE": "token",
        }
        calls: list[float] = []
        roots: list[float] = []
        firsts: list[float] = []
        command = [sys.executable, "-m", "benchmarks.warm_start", "--as-driver"]
        command += ["--calls", str(args.calls), "--roots", str(args.roots)]
        for _ in range(args.drivers):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            firsts.append(found["calls"][0])
            calls += found["calls"][1:]
            roots += found["roots"]
        told("calls of a parent, after its first", calls)
        told("a parent's first call", firsts)
        told("as the root of a run", roots)


if __name__ == "__main__":
    main()
