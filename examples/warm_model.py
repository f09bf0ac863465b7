"""One warm model for many callers: a pool of processes, and batches that fill from all of them.

python examples/warm_model.py
flyte-ray run examples/warm_model.py classify_all --sentences 400

The tasks of a reusable environment run in processes that stay. A model that is loaded into a module
global is loaded once per process, and calls of many parents meet there: a batcher collects what
arrives within a few milliseconds and gives the model one batch, which is what a GPU wants.
"""

import asyncio
import hashlib
import math
import os

import flyte_ray as flyte
from flyte_ray.extras import DynamicBatcher

WIDTH = 64

model_env = flyte.TaskEnvironment(
    name="warm_model",
    reusable=flyte.ReusePolicy(replicas=1, concurrency=32, idle_ttl=60),
)
env = flyte.TaskEnvironment(name="callers")


class Model:
    """A stand-in with the shape of the real thing: slow to load, cheap per batch."""

    def __init__(self) -> None:
        self.weights = [math.sin(n) for n in range(WIDTH)]
        self.loaded_in = os.getpid()
        self.batches: list[int] = []

    async def score(self, texts: list[str]) -> list[float]:
        """Scores between 0 and 1, for a whole batch at once."""
        self.batches.append(len(texts))
        await asyncio.sleep(0.005)  # what a forward pass takes, whatever the size of the batch
        return [self.one(text) for text in texts]

    def one(self, text: str) -> float:
        """The score of one text."""
        values = hashlib.sha512(text.encode()).digest()
        total = sum(w * v for w, v in zip(self.weights, values, strict=True))
        return 1 / (1 + math.exp(-total / 500))


model: Model | None = None
batcher: DynamicBatcher[str, float] | None = None


async def loaded() -> DynamicBatcher[str, float]:
    """The batcher of this process, around its model; made by the first call."""
    global model, batcher
    if batcher is None:
        model = Model()
        batcher = DynamicBatcher(model.score, max_batch_size=32, batch_timeout_s=0.01)
        await batcher.start()
    return batcher


@model_env.task
async def classify(text: str) -> float:
    """The score of one text; the model sees it in a batch with others."""
    answer = await (await loaded()).submit(text)
    return await answer


@model_env.task
async def batch_sizes() -> list[int]:
    """How the calls so far were put together."""
    await loaded()
    return model.batches if model else []


@env.task
async def classify_all(sentences: int = 200) -> str:
    """Classify many sentences, each in a call of its own."""
    before = len(await batch_sizes())
    scores = await asyncio.gather(*[classify(f"sentence {n}") for n in range(sentences)])
    sizes = (await batch_sizes())[before:]
    positive = sum(score > 0.5 for score in scores)
    return f"{positive} of {sum(sizes)} are positive; batches of up to {max(sizes)}"


if __name__ == "__main__":
    run = flyte.run(classify_all)
    run.wait()
    print(run.outputs()[0])
