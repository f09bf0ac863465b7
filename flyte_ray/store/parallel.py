"""Many small requests at once: how a LIST of names becomes objects in few round trips.

On a local store a thread costs more than the read, so everything runs in turn there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flyte_ray.core.ports import Blobs
from flyte_ray.store.blobs import is_local

REMOTE_WIDTH = 32

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(blobs: Blobs, request: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`request` of each item, in order. Raises the first error, when all have ended."""
    waiting = list(items)
    if is_local(blobs) or len(waiting) < 2:
        return [request(item) for item in waiting]
    with ThreadPoolExecutor(min(REMOTE_WIDTH, len(waiting)), "flyte-ray-store") as pool:
        return list(pool.map(request, waiting))
