"""A batcher that counts tokens: `DynamicBatcher` in the words of language models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flyte_ray.extras.batching import DynamicBatcher

Record = TypeVar("Record")
Result = TypeVar("Result")

CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text, whose tokens are guessed from its length.

    Example:
        >>> Prompt("twelve chars").estimate_tokens()
        4
    """

    text: str

    def estimate_tokens(self) -> int:
        """About four characters a token, and one for the end."""
        return len(self.text) // CHARACTERS_A_TOKEN + 1

    def estimate_cost(self) -> int:
        """`estimate_tokens`."""
        return self.estimate_tokens()


class TokenBatcher(DynamicBatcher[Record, Result]):
    """Gathers prompts into batches of so many tokens.

    Example:
        >>> async def answer(batch: list[Prompt]) -> list[int]:
        ...     return [len(prompt.text) for prompt in batch]
        >>> async def main() -> int:
        ...     async with TokenBatcher(answer, target_batch_tokens=100) as batcher:
        ...         return await (await batcher.submit(Prompt("hello")))
        >>> asyncio.run(main())
        5
    """

    def __init__(
        self,
        inference_fn: Callable[[list[Record]], Awaitable[Sequence[Result]]],
        *,
        token_estimator: Callable[[Record], int] | None = None,
        target_batch_tokens: int = 32_000,
        default_token_estimate: int = 50,
        **options: Any,
    ) -> None:
        """Make one.

        Args:
            inference_fn: takes a list of records; its results are in the same order.
            token_estimator: the tokens of a record; else `record.estimate_tokens()` where there
                is such a method, else `default_token_estimate`.
            target_batch_tokens: a batch does not grow beyond it.
            default_token_estimate: see `token_estimator`.
            **options: as for `DynamicBatcher`.
        """
        super().__init__(
            inference_fn,
            cost_estimator=token_estimator or _estimator(default_token_estimate),
            target_batch_cost=target_batch_tokens,
            **options,
        )

    async def submit(
        self,
        record: Record,
        estimated_cost: int | None = None,
        *,
        estimated_tokens: int | None = None,
    ) -> asyncio.Future[Result]:
        """Hand a record in; the future of its result."""
        tokens = estimated_cost if estimated_tokens is None else estimated_tokens
        return await super().submit(record, tokens)


def _estimator(default: int) -> Callable[[object], int]:
    def estimate(record: object) -> int:
        for name in ("estimate_tokens", "estimate_cost"):
            method = getattr(record, name, None)
            if callable(method):
                return int(method())
        return default

    return estimate
