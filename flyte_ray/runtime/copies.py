"""Fast copies of large values in Ray's object store: the `FastCopies` port of a process.

A copy belongs, in Ray's sense, to the process that laid it down, and is lost with it. The host
keeps a reference to it under the value's key (`runtime/shelf`), so that it is found by whoever is
told of the value, and lives no longer than the run. Whatever goes wrong here, the value is read
from the store instead.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pickle import PickleBuffer
from typing import Any

import ray
from ray import exceptions as rx

from flyte_ray.core.ports import Part
from flyte_ray.runtime import addresses
from flyte_ray.runtime.mapping import own_views

logger = logging.getLogger(__name__)

HOST_PATIENCE_S = 3.0
PULL_BYTES_PER_S = 20e6
"""A copy that comes slower than this is left for the store."""
BREATHER_S = 5.0
"""After the host did not answer: so long nobody is asked, and values come from the store."""


class Laid:
    """What lies in the object store: the parts, and the key that they claim to be the value of."""

    __slots__ = ("__weakref__", "key", "parts")

    def __init__(self, key: str, parts: Sequence[Any]) -> None:
        self.key = key
        self.parts = parts

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # Buffers: Ray copies them into its store as they are, and hands out views of them.
        return Laid, (self.key, [PickleBuffer(part) for part in self.parts])


class RayCopies:
    """Copies of the values of one run, laid down and found by this process. Thread-safe."""

    def __init__(self, host: str, run: str, *, lays_down: bool = True) -> None:
        """Begin with nothing laid down.

        Args:
            host: name of the host that keeps the references.
            run: whose values they are.
            lays_down: False for a process that must not outlive its work: Ray keeps a worker as
                long as something lives that it has laid down.
        """
        self._host = host
        self._run = run
        self._lays_down = lays_down
        self._known: weakref.WeakValueDictionary[str, Laid] = weakref.WeakValueDictionary()
        self._asked_again_at = 0.0

    def offer(self, key: str, parts: Sequence[Part]) -> Callable[[], None]:
        """Begin to lay a copy down; see `core.ports.FastCopies.offer`."""
        if not self._lays_down or self._is_away():
            return _nothing
        work = threading.Thread(
            target=self._lay_down, args=(key, parts), daemon=True, name="flyte_ray-copy"
        )
        work.start()
        return work.join

    def take(self, key: str) -> Sequence[memoryview] | None:
        """The parts of a copy, each time as memory of the caller's own."""
        laid = self._known.get(key)
        if laid is None:
            laid = self._found(key)
            if laid is None:
                return None
            self._known[key] = laid
        parts = [memoryview(part).cast("B").toreadonly() for part in laid.parts]
        # As long as a value lies in it, the copy is found again without asking.
        return own_views(parts, source=laid)

    def _lay_down(self, key: str, parts: Sequence[Part]) -> None:
        size = sum(memoryview(part).nbytes for part in parts)
        try:
            reference = ray.put(Laid(key, parts))
            self._ask("hold", self._run, key, [reference], size)
        except rx.RayError as error:
            logger.warning("no fast copy of %s: %s", key, error)

    def _found(self, key: str) -> Laid | None:
        if self._is_away():
            return None
        told = self._ask("copy_of", key)
        if told is None:
            return None
        (reference,), size = told
        try:
            laid = ray.get(reference, timeout=HOST_PATIENCE_S + size / PULL_BYTES_PER_S)
        except rx.RayError as error:
            logger.info("the fast copy of %s is lost: %s", key, error)
            return None
        return laid if isinstance(laid, Laid) and laid.key == key else None

    def _ask(self, method: str, *args: Any) -> Any:
        try:
            host = addresses.host_handle(self._host)
            return ray.get(getattr(host, method).remote(*args), timeout=HOST_PATIENCE_S)
        except (rx.RayError, ValueError) as error:
            logger.info("the host does not tell of fast copies: %s", error)
            addresses.forget(self._host)
            self._asked_again_at = time.monotonic() + BREATHER_S
            return None

    def _is_away(self) -> bool:
        return time.monotonic() < self._asked_again_at


def _nothing() -> None:
    """There is nothing to wait for."""
