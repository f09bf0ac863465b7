"""What a durable call costs beside a raw Ray call, in one cluster and one run, interleaved.

Chain: n calls, each awaited before the next. Fan-out: n calls at once. Both parents are Ray tasks
(the position a workflow's root is in), so both sides pay for nested submission. Ours has its record
on: every result is in the store (a local directory, no fsync) before the parent sees it.

    python -m benchmarks.calls [--chain 200] [--fan-out 1000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import ray

import flyte_ray as flyte

WARM_UP = 8
"""Calls before the clock starts: Ray ends idle workers after a second, and a new one takes one."""

env = flyte.TaskEnvironment(name="bench-calls")


@ray.remote
def raw_step(x: int) -> int:
    return x + 1


@ray.remote
def raw_chain(n: int) -> float:
    ray.get([raw_step.remote(i) for i in range(WARM_UP)])
    began, x = time.perf_counter(), 0
    for _ in range(n):
        x = ray.get(raw_step.remote(x))
    assert x == n
    return time.perf_counter() - began


@ray.remote
def raw_fan_out(n: int) -> float:
    ray.get([raw_step.remote(i) for i in range(WARM_UP)])
    began = time.perf_counter()
    results = ray.get([raw_step.remote(i) for i in range(n)])
    assert results == [i + 1 for i in range(n)]
    return time.perf_counter() - began


@env.task
async def step(x: int) -> int:
    return x + 1


@env.task
async def chain(n: int) -> float:
    await asyncio.gather(*[step(-i) for i in range(WARM_UP)])
    began, x = time.perf_counter(), 0
    for _ in range(n):
        x = await step(x)
    assert x == n
    return time.perf_counter() - began


@env.task
async def fan_out(n: int) -> float:
    await asyncio.gather(*[step(-i) for i in range(WARM_UP)])
    began = time.perf_counter()
    results = await asyncio.gather(*[step(i) for i in range(n)])
    assert results == [i + 1 for i in range(n)]
    return time.perf_counter() - began


def ours(task: object, n: int) -> float:
    """Seconds inside the parent task."""
    run = flyte.run(task, n)
    run.wait(quiet=True)
    return float(run.outputs()[0])


def main() -> None:
    """Interleave both sides and print medians and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chain", type=int, default=200)
    parser.add_argument("--fan-out", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ours(chain, 3), ray.get(raw_chain.remote(3))
    shapes = {
        f"chain of {args.chain}": (raw_chain, chain, args.chain),
        f"fan-out of {args.fan_out}": (raw_fan_out, fan_out, args.fan_out),
    }
    for name, (raw, mine, n) in shapes.items():
        raw_s, our_s = [], []
        for _ in range(args.rounds):
            raw_s.append(ray.get(raw.remote(n)))
            our_s.append(ours(mine, n))
        a, b = statistics.median(raw_s), statistics.median(our_s)
        ratios = sorted(o / r for o, r in zip(our_s, raw_s, strict=True))
        print(
            f"{name}: raw Ray {a / n * 1e3:.2f} ms/call, flyte_ray {b / n * 1e3:.2f} ms/call, "
            f"ratio of medians {b / a:.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
