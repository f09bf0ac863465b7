"""Prompts through a language model on one GPU: a warm pool with a batcher, and three other ways.

    pool and batcher        a call per prompt; the model stays loaded, a batcher fills batches
    raw Ray, ready batches  one actor, which is given full batches: the ceiling; nothing is recorded
    raw Ray, call by call   one actor, a call per prompt, no batches; nothing is recorded
    process per chunk       a task of a plain environment per chunk: each starts and loads the model

Two shapes: short prompts that are continued by 32 tokens, and long ones of which only the next
token is asked for. Every way says the same (on the CPU it must; half precision rounds with the
batch). The time is the driver's, from the first call to the last answer. Pool and actor are ready
before, and take turns; the processes per chunk come last, and their start is what they are about.
GPU busy: the share of the time in which a kernel ran, as NVML samples it (by `nvidia-ml-py`).

    python -m benchmarks.gpu [--prompts 500] [--size large] [--chunk 100] [--rounds 3]

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

import flyte_ray as flyte
from flyte_ray.extras import Prompt, TokenBatcher
from flyte_ray.runtime.pools import stop_pool

BATCH = 128
WEIGHTS = "weights.pt"
SAMPLED_EVERY_S = 0.1

SHAPES = {"continue": (2, 32), "score": (10, 1)}
"""How often a prompt repeats its 45 bytes, and tokens to say."""

# Half of the GPU each, so that the pool and the actor of raw Ray are there side by side.
on_gpu = flyte.Resources(cpu=1, gpu=0.5)
warm = flyte.TaskEnvironment(
    name="gpu-warm",
    resources=on_gpu,
    reusable=flyte.ReusePolicy(replicas=1, concurrency=2 * BATCH, idle_ttl=600),
)
cold = flyte.TaskEnvironment(name="gpu-cold", resources=on_gpu)
parents = flyte.TaskEnvironment(name="gpu-parents")

Job = tuple[str, str]
"""Size of the model; folder of its weights and of the marks of its loads."""


@dataclass(frozen=True)
class Wish(Prompt):
    """A prompt, and how many tokens are to follow."""

    new: int = 1


def loaded(job: Job) -> Any:
    """The model, from its file; a mark is left of each load."""
    import torch

    from benchmarks.gpu_model import SIZES, Decoder

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size, folder = job
    with torch.device("meta"):
        model = Decoder(SIZES[size])
    weights = torch.load(Path(folder) / WEIGHTS, mmap=True, weights_only=True)
    model.load_state_dict(weights, assign=True)
    Path(folder, f"load-{os.getpid()}").touch()
    return model.to(device).eval()


def answers(model: Any, prompts: list[str], new: int) -> list[list[int]]:
    from benchmarks.gpu_model import generate

    return generate(model, prompts, new)


# ---- a warm pool and a batcher

batcher: TokenBatcher[Wish, list[int]] | None = None
starting: asyncio.Future[None] | None = None


async def begin(job: Job) -> None:
    """Load the model, once in this process, and start its batcher."""
    global batcher
    model = await asyncio.to_thread(loaded, job)

    async def inferred(batch: list[Wish]) -> list[list[int]]:
        # In a thread: the loop takes the next calls meanwhile.
        texts = [each.text for each in batch]
        return await asyncio.to_thread(answers, model, texts, batch[0].new)

    batcher = TokenBatcher(inferred, max_batch_size=BATCH, batch_timeout_s=0.01)
    await batcher.start()


@warm.task
async def ask(text: str, new: int, job: Job) -> list[int]:
    global starting
    if starting is None:
        starting = asyncio.ensure_future(begin(job))
    await starting
    assert batcher is not None
    return await (await batcher.submit(Wish(text, new)))


@warm.task
async def batches() -> list[float]:
    assert batcher is not None
    return [batcher.stats.total_batches, batcher.stats.avg_batch_size]


@parents.task
async def ask_all(texts: list[str], new: int, job: Job) -> list[list[int]]:
    return list(await asyncio.gather(*[ask(text, new, job) for text in texts]))


# ---- a process per chunk


@cold.task
def chunk(texts: list[str], new: int, job: Job) -> list[list[int]]:
    model = loaded(job)
    parts = [texts[n : n + BATCH] for n in range(0, len(texts), BATCH)]
    return [answer for part in parts for answer in answers(model, part, new)]


@parents.task
async def ask_chunks(texts: list[str], new: int, job: Job, size: int) -> list[list[int]]:
    parts = [texts[n : n + size] for n in range(0, len(texts), size)]
    # One at a time: the GPU is one.
    return [answer for part in parts for answer in await chunk.aio(part, new, job)]


# ---- raw Ray


@ray.remote(num_gpus=0.5)
class Model:
    def __init__(self, job: Job) -> None:
        self.model = loaded(job)

    def answer(self, texts: list[str], new: int) -> list[list[int]]:
        return answers(self.model, texts, new)


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


Work = Callable[[list[str], int], list[list[int]]]


class Bench:
    """The ways, and what they took."""

    def __init__(self, job: Job, chunk: int) -> None:
        self.job, self.chunk = job, chunk
        self.said: dict[tuple[str, str], list[list[int]]] = {}
        self.rates: dict[tuple[str, str], list[float]] = {}
        self.busy: dict[tuple[str, str], list[int]] = {}
        self.actor: Any = Model.remote(job)  # type: ignore[attr-defined]

    def run(self, task: Any, *inputs: Any) -> Any:
        run = flyte.run(task, *inputs)
        run.wait(quiet=True)
        return run.outputs()[0]

    def loads(self) -> int:
        return len(list(Path(self.job[1]).glob("load-*")))

    def measured(self, shape: str, way: str, texts: list[str], work: Work) -> None:
        before, key = self.loads(), (shape, way)
        with gpu_watched() as seen:
            began = time.perf_counter()
            self.said[key] = work(texts, SHAPES[shape][1])
            took_s = time.perf_counter() - began
        self.rates.setdefault(key, []).append(len(texts) / took_s)
        self.busy.setdefault(key, []).extend(seen)
        print(
            f"{shape}, {way}: {len(texts)} prompts in {took_s:.2f} s, "
            f"{len(texts) / took_s:.1f} prompts/s, {self.loads() - before} loads",
            flush=True,
        )

    # ---- the ways

    def pool(self, texts: list[str], new: int) -> list[list[int]]:
        found: list[list[int]] = self.run(ask_all, texts, new, self.job)
        return found

    def chunks(self, texts: list[str], new: int) -> list[list[int]]:
        found: list[list[int]] = self.run(ask_chunks, texts, new, self.job, self.chunk)
        return found

    def ready(self, texts: list[str], new: int) -> list[list[int]]:
        parts = [texts[n : n + BATCH] for n in range(0, len(texts), BATCH)]
        done = ray.get([self.actor.answer.remote(part, new) for part in parts])
        return [answer for part in done for answer in part]

    def one_by_one(self, texts: list[str], new: int) -> list[list[int]]:
        return [said[0] for said in ray.get([self.actor.answer.remote([t], new) for t in texts])]

    # ---- all of it

    def warm_up(self, texts: dict[str, list[str]]) -> None:
        began = time.perf_counter()
        self.pool(texts["score"][:1], 1)
        print(f"the pool's first answer: {time.perf_counter() - began:.1f} s", flush=True)
        for shape, some in texts.items():
            for way in (self.pool, self.ready):
                way(some[: 2 * BATCH], SHAPES[shape][1])
            self.one_by_one(some[:1], SHAPES[shape][1])

    def take_turns(self, texts: dict[str, list[str]], rounds: int, few: int) -> None:
        for _ in range(rounds):
            for shape, all_of_them in texts.items():
                self.measured(shape, "pool and batcher", all_of_them, self.pool)
                self.measured(shape, "raw Ray, ready batches", all_of_them, self.ready)
                self.measured(shape, "raw Ray, call by call", all_of_them[:few], self.one_by_one)
        number, size = self.run(batches)
        print(f"the batcher: {number:.0f} batches of {size:.1f} on average", flush=True)
        stop_pool("gpu-warm")
        ray.kill(self.actor)

    def compare(self) -> None:
        """Print medians and ratios, and how many answers were the same."""
        for (shape, way), rates in self.rates.items():
            base = (shape, "pool and batcher")
            rate, pool = statistics.median(rates), statistics.median(self.rates[base])
            pairs = zip(self.said[base], self.said[shape, way], strict=False)
            same = sum(a == b for a, b in pairs) / len(self.said[shape, way])
            assert same == 1 or self.busy[base], f"{shape}, {way}: other answers than the pool's"
            busy = (
                f"{statistics.mean(self.busy[shape, way]):.0f} %" if self.busy[shape, way] else "-"
            )
            print(
                f"{shape}, {way}: {rate:.1f} prompts/s ({min(rates):.1f} to {max(rates):.1f}), "
                f"{rate * SHAPES[shape][1]:.0f} tokens/s, GPU busy {busy}, "
                f"{rate / pool:.3f} x the pool, {same:.0%} of the answers as the pool's"
            )


def write_weights(size: str, folder: str) -> str:
    """Make the model once and keep its weights; says what it is."""
    import torch

    from benchmarks.gpu_model import SIZES, made

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = made(SIZES[size], device, torch.float32 if device == "cpu" else torch.bfloat16)
    torch.save(
        {name: each.cpu() for name, each in model.state_dict().items()}, Path(folder) / WEIGHTS
    )
    count = sum(each.numel() for each in model.parameters())
    name = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    del model
    torch.cuda.empty_cache()
    return f"{count / 1e6:.1f} million parameters on {name}, torch {torch.__version__}"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--few", type=int, default=50, help="prompts of raw Ray call by call")
    parser.add_argument("--size", default="large")
    parser.add_argument("--chunk", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = {
        shape: [f"{n:<6}" + f"why {'very ' * (n % 7):<40}?" * times for n in range(args.prompts)]
        for shape, (times, _) in SHAPES.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        print(write_weights(args.size, folder), flush=True)
        ray.init(
            address="local",
            num_gpus=None if torch.cuda.is_available() else 1,
            include_dashboard=False,
            log_to_driver=False,
        )
        bench = Bench((args.size, folder), args.chunk)
        bench.warm_up(texts)
        bench.take_turns(texts, args.rounds, args.few)
        for shape, all_of_them in texts.items():
            bench.measured(shape, "process per chunk", all_of_them, bench.chunks)
        bench.compare()
        ray.shutdown()


if __name__ == "__main__":
    main()
