"""Prompts through a language model on one GPU: a warm pool with a batcher, and three other ways.

    pool and batcher        a call per prompt; the model stays loaded, a batcher fills batches
    process per chunk       a task of a plain environment per chunk: each starts and loads it
    raw Ray, call by call   one actor, a call per prompt, no batches; nothing is recorded
    raw Ray, ready batches  one actor, which is given full batches: the ceiling; nothing is recorded

Every way generates the same tokens (checked on the CPU; half precision rounds with the batch). The
time is the driver's, from the first call to the last answer, with a replica or actor that is ready,
except for the processes per chunk, whose start is what they are about. GPU busy: the share of the
time in which a kernel ran, as NVML samples it.

    python -m benchmarks.gpu [--prompts 500] [--size large] [--new 32] [--chunk 50] [--rounds 3]

Without a GPU it runs on the CPU (`--size tiny`), on a GPU that is only declared.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

import flyte_ray as flyte
from flyte_ray.extras import Prompt, TokenBatcher
from flyte_ray.runtime.pools import stop_pool

BATCH = 64
SAMPLED_EVERY_S = 0.02

on_gpu = flyte.Resources(cpu=1, gpu=1)
warm = flyte.TaskEnvironment(
    name="gpu-warm",
    resources=on_gpu,
    reusable=flyte.ReusePolicy(replicas=1, concurrency=2 * BATCH, idle_ttl=600),
)
cold = flyte.TaskEnvironment(name="gpu-cold", resources=on_gpu)
parents = flyte.TaskEnvironment(name="gpu-parents")

Job = tuple[str, str, int]
"""Size of the model, folder of its weights and of the marks of its loads, tokens to generate."""


def loaded(job: Job) -> Any:
    """The model, from its file; a mark is left of each load."""
    import torch

    from benchmarks.gpu_model import SIZES, Decoder

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size, folder, _ = job
    with torch.device("meta"):
        model = Decoder(SIZES[size])
    weights = torch.load(Path(folder) / "weights.pt", mmap=True, weights_only=True)
    model.load_state_dict(weights, assign=True)
    Path(folder, f"load-{os.getpid()}").touch()
    return model.to(device).eval()


def answers(model: Any, prompts: list[str], new: int) -> list[list[int]]:
    from benchmarks.gpu_model import generate

    return generate(model, prompts, new)


# ---- a warm pool and a batcher

batcher: TokenBatcher[Prompt, list[int]] | None = None
starting: asyncio.Future[None] | None = None


async def begin(job: Job) -> None:
    """Load the model, once in this process, and start its batcher."""
    global batcher
    model = await asyncio.to_thread(loaded, job)

    async def inferred(batch: list[Prompt]) -> list[list[int]]:
        # In a thread: the loop takes the next calls meanwhile.
        return await asyncio.to_thread(answers, model, [each.text for each in batch], job[2])

    batcher = TokenBatcher(inferred, max_batch_size=BATCH, batch_timeout_s=0.01)
    await batcher.start()


@warm.task
async def ask(text: str, job: Job) -> list[int]:
    global starting
    if starting is None:
        starting = asyncio.ensure_future(begin(job))
    await starting
    assert batcher is not None
    return await (await batcher.submit(Prompt(text)))


@warm.task
async def batches() -> list[float]:
    assert batcher is not None
    return [batcher.stats.total_batches, batcher.stats.avg_batch_size]


@parents.task
async def ask_all(texts: list[str], job: Job) -> list[list[int]]:
    return list(await asyncio.gather(*[ask(text, job) for text in texts]))


# ---- a process per chunk


@cold.task
def chunk(texts: list[str], job: Job) -> list[list[int]]:
    return answers(loaded(job), texts, job[2])


@parents.task
async def ask_chunks(texts: list[str], job: Job, at_once: int) -> list[list[int]]:
    parts = [texts[n : n + at_once] for n in range(0, len(texts), at_once)]
    done = await asyncio.gather(*[chunk.aio(part, job) for part in parts])
    return [answer for part in done for answer in part]


# ---- raw Ray


@ray.remote(num_gpus=1)
class Model:
    def __init__(self, job: Job) -> None:
        self.job, self.model = job, loaded(job)

    def answer(self, texts: list[str]) -> list[list[int]]:
        return answers(self.model, texts, self.job[2])


# ---- measuring


@contextmanager
def gpu_watched() -> Iterator[list[int]]:
    """Per cent of the time in which a kernel ran, sampled; nothing without an NVIDIA GPU."""
    seen: list[int] = []
    over = threading.Event()
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:
        yield seen
        return

    def watch() -> None:
        while not over.wait(SAMPLED_EVERY_S):
            seen.append(int(pynvml.nvmlDeviceGetUtilizationRates(device).gpu))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


class Bench:
    """The ways, each as a function of the prompts, and what it took."""

    def __init__(self, job: Job, chunk: int) -> None:
        self.job, self.chunk = job, chunk
        self.said: dict[str, list[list[int]]] = {}
        self.rates: dict[str, list[float]] = {}

    def run(self, task: Any, *inputs: Any) -> Any:
        run = flyte.run(task, *inputs)
        run.wait(quiet=True)
        return run.outputs()[0]

    def measured(self, way: str, texts: list[str], work: Callable[[list[str]], Any]) -> None:
        loads = len(list(Path(self.job[1]).glob("load-*")))
        with gpu_watched() as seen:
            began = time.perf_counter()
            self.said[way] = work(texts)
            took_s = time.perf_counter() - began
        more = len(list(Path(self.job[1]).glob("load-*"))) - loads
        self.rates.setdefault(way, []).append(len(texts) / took_s)
        busy = f"GPU busy {statistics.mean(seen):.0f} %" if seen else "no GPU"
        print(
            f"{way}: {len(texts)} prompts in {took_s:.2f} s, {len(texts) / took_s:.1f} prompts/s, "
            f"{len(texts) * self.job[2] / took_s:.0f} tokens/s, {busy}, {more} loads",
            flush=True,
        )

    def pool(self, texts: list[str]) -> None:
        began = time.perf_counter()
        self.run(ask_all, texts[:1], self.job)
        print(f"pool: first answer after {time.perf_counter() - began:.1f} s", flush=True)
        self.run(ask_all, texts[:BATCH], self.job)
        self.measured("pool and batcher", texts, lambda each: self.run(ask_all, each, self.job))
        number, size = self.run(batches)
        print(f"pool: {number:.0f} batches of {size:.1f} on average, since its start", flush=True)
        stop_pool("gpu-warm")

    def chunks(self, texts: list[str]) -> None:
        self.measured(
            "process per chunk",
            texts,
            lambda each: self.run(ask_chunks, each, self.job, self.chunk),
        )

    def raw(self, texts: list[str], few: list[str]) -> None:
        actor = Model.remote(self.job)  # type: ignore[attr-defined]
        ray.get(actor.answer.remote(texts[:BATCH]))

        def one_by_one(each: list[str]) -> list[list[int]]:
            return [said[0] for said in ray.get([actor.answer.remote([text]) for text in each])]

        def ready(each: list[str]) -> list[list[int]]:
            parts = [each[n : n + BATCH] for n in range(0, len(each), BATCH)]
            done = ray.get([actor.answer.remote(part) for part in parts])
            return [answer for part in done for answer in part]

        self.measured("raw Ray, call by call", few, one_by_one)
        self.measured("raw Ray, ready batches", texts, ready)
        ray.kill(actor)

    def compare(self) -> None:
        """Check that all ways said the same, and print medians and ratios."""
        first = self.said["pool and batcher"]
        for way, said in self.said.items():
            same = sum(a == b for a, b in zip(first, said, strict=False))
            print(f"{way}: {same} of {len(said)} answers as the pool's")
        middle = {way: statistics.median(rates) for way, rates in self.rates.items()}
        for way, rate in middle.items():
            ratio = middle["pool and batcher"] / rate
            print(f"{way}: {rate:.1f} prompts/s, the pool is {ratio:.2f} x as fast")


def write_weights(size: str, folder: str) -> str:
    """Make the model once and keep its weights; says what it is."""
    import torch

    from benchmarks.gpu_model import SIZES, made

    on_cpu = not torch.cuda.is_available()
    model = made(SIZES[size], "cpu", torch.float32 if on_cpu else torch.bfloat16)
    torch.save(model.state_dict(), Path(folder) / "weights.pt")
    count = sum(each.numel() for each in model.parameters())
    device = "the CPU" if on_cpu else torch.cuda.get_device_name()
    return f"{count / 1e6:.0f} million parameters on {device}, torch {torch.__version__}"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--few", type=int, default=100, help="prompts of raw Ray call by call")
    parser.add_argument("--size", default="large")
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk-rounds", type=int, default=1)
    args = parser.parse_args()
    texts = [
        f"Question {n}: why is {'very ' * (n % 13)}much the same?" for n in range(args.prompts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        print(write_weights(args.size, folder), flush=True)
        ray.init(
            address="local",
            num_gpus=None if torch.cuda.is_available() else 1,
            include_dashboard=False,
            log_to_driver=False,
        )
        bench = Bench((args.size, folder, args.new), args.chunk)
        for number in range(args.rounds):
            bench.pool(texts)
            bench.raw(texts, texts[: args.few])
            if number < args.chunk_rounds:
                bench.chunks(texts)
        bench.compare()
        ray.shutdown()


if __name__ == "__main__":
    main()
