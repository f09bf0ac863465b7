"""Waiting on another thread's future without owning it.

Rule: cancelling who waits must not cancel what is being written. `asyncio.wrap_future` alone would
pass the cancellation on to the ledger's future, and a row on its way would lose its addressee.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def landed(future: Future[T]) -> T:
    """The future's result, awaited on whatever loop runs here; cancellation stays here."""
    if future.done():
        return future.result()
    return await asyncio.shield(asyncio.wrap_future(future))


def chained(first: Future[T], then: Callable[[T], Future[R]]) -> Future[R]:
    """What `then` comes to, called with the first one's result; an error of either is the end's."""
    end: Future[R] = Future()

    def pass_on(done: Future[R]) -> None:
        error = done.exception()
        if error is not None:
            end.set_exception(error)
        else:
            end.set_result(done.result())

    def go_on(done: Future[T]) -> None:
        error = done.exception()
        if error is not None:
            end.set_exception(error)
        else:
            then(done.result()).add_done_callback(pass_on)

    first.add_done_callback(go_on)
    return end
