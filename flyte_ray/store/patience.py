"""Waiting for a store that is away: the same request again, with growing pauses, for a while.

Only for requests that may be repeated, as all of `Blobs` may. Not waited for is what waiting does
not mend: an object that is not there, a store that may not be written. What bytes mean is judged
above the store, so a damaged object is told at once, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError, StoreUnwritableError

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0

T = TypeVar("T")


class Patience:
    """How the record of one run waits for its store. Thread-safe."""

    def __init__(
        self, run: str, patience_s: float, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Each request is repeated for `patience_s`, or until it is over for another reason."""
        self._run = run
        self._patience_s = patience_s
        self._is_over = is_over
        self.waits_for = ""
        """Why the store does nothing at the moment; empty while it does."""

    def ask(self, request: Callable[[], T]) -> T:
        """What the request returns, or the last `StoreError` that it raised.

        The time runs from the first error: a request may itself take long, as of a large file.
        """
        deadline: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = request()
                self.waits_for = ""
                return answer
            except StoreUnwritableError:
                raise
            except StoreError as error:
                now = time.monotonic()
                deadline = now + self._patience_s if deadline is None else deadline
                left_s = deadline - now
                if left_s <= 0 or self._is_over():
                    raise
                self.waits_for = str(error)
                logger.warning(
                    "the record of run %s waits for the store, for %.0f s more: %s",
                    self._run,
                    left_s,
                    error,
                )
                threading.Event().wait(min(pause_s, left_s))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


class PatientBlobs:
    """The `Blobs` port on a store whose every request is waited for."""

    def __init__(self, blobs: Blobs, patience: Patience) -> None:
        self._blobs = blobs
        self._ask = patience.ask
        self.latency_s = getattr(blobs, "latency_s", 0.0)  # see `blobs.is_local`

    @property
    def url(self) -> str:
        return self._blobs.url

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        self._ask(lambda: self._blobs.put(key, *parts))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._ask(lambda: self._blobs.put_new(key, data))

    def get(self, key: str) -> bytes:
        return self._ask(lambda: self._blobs.get(key))

    def exists(self, key: str) -> bool:
        return self._ask(lambda: self._blobs.exists(key))

    def list(self, prefix: str) -> Sequence[str]:
        return self._ask(lambda: self._blobs.list(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        all_keys = tuple(keys)
        self._ask(lambda: self._blobs.delete(all_keys))
