"""A warm model for many callers: load it once, and fill its batches from all calls.

python examples/warm_model.py
flyte-ray run examples/warm_model.py classify_all --sentences 400
"""

import asyncio
import zlib

import flyte_ray as flyte
from flyte_ray.extras import DynamicBatcher

# Tasks of a reusable environment run in processes that stay; module globals stay with them.
model_env = flyte.TaskEnvironment(
    name="warm_model",
    reusable=flyte.ReusePolicy(replicas=1, concurrency=32, idle_ttl=60),
)
env = flyte.TaskEnvironment(name="callers")

sizes: list[int] = []
batcher: DynamicBatcher[str, bool] | None = None


async def positive(texts: list[str]) -> list[bool]:
    """The model's place: a forward pass takes its time, whatever the size of the batch."""
    sizes.append(len(texts))
    await asyncio.sleep(0.005)
    return [zlib.crc32(text.encode()) % 2 == 0 for text in texts]


@model_env.task
async def classify(text: str) -> bool:
    """Classify one text; the model sees it in a batch with others."""
    global batcher
    if batcher is None:  # the first call in this process
        batcher = DynamicBatcher(positive, max_batch_size=32, batch_timeout_s=0.01)
        await batcher.start()
    return await (await batcher.submit(text))


@model_env.task
async def batch_sizes() -> list[int]:
    """How the calls so far were put together."""
    return sizes


@env.task
async def classify_all(sentences: int = 200) -> str:
    """Classify many sentences, each in a call of its own."""
    before = len(await batch_sizes())
    found = await asyncio.gather(*[classify(f"sentence {n}") for n in range(sentences)])
    batches = (await batch_sizes())[before:]
    return f"{sum(found)} of {sum(batches)} are positive; batches of up to {max(batches)}"


if __name__ == "__main__":
    run = flyte.run(classify_all)
    run.wait()
    print(run.outputs()[0])
