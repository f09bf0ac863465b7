"""A language model for benchmarks: a decoder of the usual build, its weights from a fixed seed.

Nothing is downloaded. Greedy decoding with a cache of keys and values; prompts of a batch are
padded on the left, so that all of them end at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

BYTES = 256


@dataclass(frozen=True)
class Size:
    width: int
    layers: int
    heads: int
    context: int = 512
    vocabulary: int = 32_000


SIZES = {
    "tiny": Size(width=64, layers=2, heads=4, vocabulary=BYTES),
    "small": Size(width=768, layers=12, heads=12),
    "large": Size(width=2048, layers=24, heads=16),
}


class Block(nn.Module):
    """Attention over what is cached and what is new, then two dense layers."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.before, self.between = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.read = nn.Linear(size.width, 3 * size.width)
        self.write = nn.Linear(size.width, size.width)
        self.widen = nn.Linear(size.width, 4 * size.width)
        self.narrow = nn.Linear(4 * size.width, size.width)

    def forward(
        self, x: torch.Tensor, cache: torch.Tensor, begin: int, mask: torch.Tensor
    ) -> torch.Tensor:
        """`cache`: [2, batch, heads, positions, width of a head], filled from `begin` on."""
        rows, new, width = x.shape
        split = self.read(self.before(x)).view(rows, new, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        cache[0, :, :, begin : begin + new], cache[1, :, :, begin : begin + new] = key, value
        seen = cache[:, :, :, : begin + new]
        mixed = functional.scaled_dot_product_attention(query, seen[0], seen[1], attn_mask=mask)
        x = x + self.write(mixed.transpose(1, 2).reshape(rows, new, width))
        return x + self.narrow(functional.gelu(self.widen(self.between(x))))


class Decoder(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.words = nn.Embedding(size.vocabulary, size.width)
        self.places = nn.Embedding(size.context, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)
        self.speak = nn.Linear(size.width, size.vocabulary, bias=False)

    def forward(
        self, tokens: torch.Tensor, places: torch.Tensor, caches: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The likeliest next token of each row."""
        x = self.words(tokens) + self.places(places)
        begin = mask.shape[-1] - tokens.shape[1]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache, begin, mask)
        return self.speak(self.last(x[:, -1])).argmax(-1)


def made(size: Size, device: str, dtype: torch.dtype) -> Decoder:
    """The model, its weights from the seed."""
    torch.manual_seed(0)
    with torch.device(device):
        return Decoder(size).to(dtype).eval()


@torch.inference_mode()
def generate(model: Decoder, prompts: list[str], new: int) -> list[list[int]]:
    """`new` tokens after each prompt, greedily; a batch is one pass per token."""
    device, size = model.words.weight.device, model.size
    rows = [list(prompt.encode()) for prompt in prompts]
    longest = max(map(len, rows))
    pad = torch.tensor([longest - len(row) for row in rows], device=device)
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)
    shape = (size.layers, 2, len(rows), size.heads, longest + new, size.width // size.heads)
    caches = torch.zeros(shape, device=device, dtype=model.words.weight.dtype)
    every = torch.arange(longest + new, device=device)
    real = every >= pad[:, None]
    # Padding sees itself: a row of the mask that allows nothing would give no numbers.
    mask = (real[:, None, :longest] & (every[:longest] <= every[:longest, None])) | torch.eye(
        longest, dtype=torch.bool, device=device
    )
    places = (every[:longest] - pad[:, None]).clamp(min=0)
    said = [model(tokens, places, caches, mask[:, None])]
    for step in range(1, new):
        end = longest + step
        place = (end - 1 - pad)[:, None]
        said.append(model(said[-1][:, None], place, caches, real[:, None, None, :end]))
    found: list[list[int]] = torch.stack(said, 1).tolist()
    return found
