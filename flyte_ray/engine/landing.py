"""Waiting on another thread's future without owning it.

Rule: cancelling who waits must not cancel what is being written. `asyncio.wrap_future` alone would
pass the cancellation on to the ledger's future, and a row on its way would lose its addressee.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def landed(future: Future[T]) -> T:
    """The future's result, awaited on whatever loop runs here; cancellation stays here."""
    if future.done():
        return future.result()
    return await asyncio.shield(asyncio.wrap_future(future))
