"""Work on many things in threads, results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
FILES_AT_ONCE = 16


def in_parallel(
    work: Callable[[Any], T], items: Iterable[Any], at_once: int = FILES_AT_ONCE
) -> list[T]:
    """`work` of each item in threads, results in order; the first error ends it."""
    results: list[T] = []
    with ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="transfer") as pool:
        try:
            results.extend(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
