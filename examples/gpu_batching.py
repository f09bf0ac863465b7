"""One model on a GPU for many callers: loaded once, its batches full. Needs torch.

python examples/gpu_batching.py
"""

import asyncio

import torch

import flyte_ray as flyte
from flyte_ray.extras import BatchStats, Prompt, TokenBatcher

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
model_env = flyte.TaskEnvironment(
    name="gpu_model",
    resources=flyte.Resources(gpu=int(torch.cuda.is_available())),
    reusable=flyte.ReusePolicy(replicas=1, concurrency=128, idle_ttl=60),
)
env = flyte.TaskEnvironment(name="gpu_callers")
batcher: TokenBatcher[Prompt, float] | None = None  # like any global of a replica, it stays


class Scorer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(256, 128, padding_idx=0)
        layer = torch.nn.TransformerEncoderLayer(128, nhead=4, batch_first=True)
        self.body = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    @torch.inference_mode()
    def forward(self, prompts: list[Prompt]) -> list[float]:
        rows = [torch.tensor(list(prompt.text.encode())) for prompt in prompts]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(DEVICE)
        hidden = self.body(self.embed(tokens), src_key_padding_mask=tokens == 0)
        return hidden[:, 0, 0].tolist()


@model_env.task
async def score(text: str) -> tuple[float, BatchStats]:
    """Score one text, in a batch with whatever else was asked for."""
    global batcher
    if batcher is None:
        torch.manual_seed(0)  # a real model reads its weights from a file
        model = Scorer().to(DEVICE).eval()
        # In a thread, so that the next calls come in while the GPU computes.
        batcher = TokenBatcher(lambda batch: asyncio.to_thread(model, batch), max_batch_size=64)
        await batcher.start()
    return await (await batcher.submit(Prompt(text))), batcher.stats


@env.task
async def score_all(texts: int = 256) -> str:
    found = await asyncio.gather(*[score(f"text number {n}") for n in range(texts)])
    size = max(stats.avg_batch_size for _, stats in found)
    return f"{len(found)} texts in batches of {size:.0f} on average, on {DEVICE}"


if __name__ == "__main__":
    run = flyte.run(score_all)
    print(run.outputs()[0])
