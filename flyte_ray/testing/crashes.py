"""A process that dies at a storage call: before it, after it, or that hears of a false failure.

`every_crash` plays a story again and again, each time with the end (or the lie) at the next call,
and hands back the store that is left. What must hold of it is up to the test: that the next process
finds everything that was promised, and can go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import FlyteRayError, StoreError

When = Literal["before", "after", "lost"]
"""The process dies before the call takes effect, after it did; or lives, and hears of a failure."""

MOMENTS: tuple[When, ...] = ("before", "after", "lost")


class Crash(BaseException):
    """The process is dead: nothing after this reaches the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The store that one crash left behind."""

    blobs: Blobs
    """The store, working again."""
    call: int
    """Number of the call that went wrong, from 0."""
    operation: str
    key: str
    when: When

    def __str__(self) -> str:
        return f"{self.when} call {self.call}, {self.operation} {self.key}"


class CrashingBlobs:
    """The `Blobs` port, up to a call.

    Example:
        >>> store = CrashingBlobs(inner, at=3, when="after")  # doctest: +SKIP
    """

    def __init__(self, blobs: Blobs, *, at: int, when: When) -> None:
        """Wrap a store; call number `at` (from 0) goes wrong as `when` says."""
        self._blobs = blobs
        self._at = at
        self._when = when
        self._lock = threading.Lock()
        self._count = 0
        self._is_dead = False
        self.crashed: tuple[str, str] | None = None
        """(operation, key) of the call that went wrong; None while none did."""

    @property
    def url(self) -> str:
        """The wrapped store's."""
        return self._blobs.url

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        ends = self._begin("put", key)
        self._blobs.put(key, *parts)
        self._end(ends)

    def put_new(self, key: str, data: bytes) -> bool:
        ends = self._begin("put_new", key)
        done = self._blobs.put_new(key, data)
        self._end(ends)
        return done

    def get(self, key: str) -> bytes:
        ends = self._begin("get", key)
        data = self._blobs.get(key)
        self._end(ends)
        return data

    def exists(self, key: str) -> bool:
        ends = self._begin("exists", key)
        found = self._blobs.exists(key)
        self._end(ends)
        return found

    def list(self, prefix: str) -> Sequence[str]:
        ends = self._begin("list", prefix)
        names = self._blobs.list(prefix)
        self._end(ends)
        return names

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:  # each is a request of its own
            ends = self._begin("delete", key)
            self._blobs.delete([key])
            self._end(ends)

    def _begin(self, operation: str, key: str) -> bool:
        """True if this is the call that goes wrong, after it has taken effect."""
        with self._lock:
            if self._is_dead:
                raise Crash
            is_due = self._count == self._at
            self._count += 1
            if not is_due:
                return False
            self.crashed = (operation, key)
            if self._when == "before":
                self._is_dead = True
                raise Crash
            return True

    def _end(self, goes_wrong: bool) -> None:
        if not goes_wrong:
            return
        if self._when == "lost":
            raise StoreError("the reply was lost, as the test asked")
        self._is_dead = True
        raise Crash


def every_crash(
    make: Callable[[], Blobs],
    story: Callable[[Blobs], object],
    *,
    moments: Sequence[When] = MOMENTS,
    step: int = 1,
) -> Iterator[Aftermath]:
    """What is left of a story after each way in which one of its storage calls can go wrong.

    Args:
        make: a store as the story finds it, a new one each time.
        story: what is done; its own errors end it like a crash.
        moments: the ways.
        step: only every so many calls.
    """
    for when in moments:
        at = 0
        while True:
            inner = make()
            crashing = CrashingBlobs(inner, at=at, when=when)
            try:
                story(crashing)
            except (Crash, FlyteRayError):
                pass
            if crashing.crashed is None:
                break
            operation, key = crashing.crashed
            yield Aftermath(blobs=inner, call=at, operation=operation, key=key, when=when)
            at += step
