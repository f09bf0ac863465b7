"""Results on their way into the cache, for other runs: gathered, and written many at once.

Rule: who adds one never waits for the store. Rows come in on the ledger's own thread, and under
the lock of the run's host.
"""

from __future__ import annotations

import logging
import threading

from flyte_ray.core.ports import CacheIndex
from flyte_ray.store.cache_index import Entry

logger = logging.getLogger(__name__)

TOGETHER = 1000
"""So many need not wait for the next round of care."""


class Publisher:
    """The results of one run. Thread-safe."""

    def __init__(self, cache: CacheIndex, run: str) -> None:
        self._cache = cache
        self._run = run
        self._writing = threading.Lock()
        """One batch after the other: the last result of a key counts."""
        self._lock = threading.Lock()
        self._fresh: list[Entry] = []
        self._unpublished: list[Entry] = []
        """What the cache could not take; the next time it is given once more."""

    def add(self, entry: Entry) -> None:
        """Have it published soon."""
        with self._lock:
            self._fresh.append(entry)
            # Not what came back counts: every further one would then be one more try.
            is_due = len(self._fresh) == TOGETHER
        if is_due:
            name = "flyte-ray-publisher"
            threading.Thread(target=self.publish_or_tell, name=name, daemon=True).start()

    def publish(self) -> None:
        """Write what has gathered. Raises what the cache does: it is kept for the next time."""
        with self._writing:
            with self._lock:
                entries = [*self._unpublished, *self._fresh]
                self._fresh, self._unpublished = [], []
            try:
                if entries:
                    self._cache.publish(entries)
            except BaseException:
                with self._lock:
                    self._unpublished = entries
                raise

    def publish_or_tell(self) -> None:
        """The same; an error is only logged."""
        try:
            self.publish()
        except Exception as error:  # noqa: BLE001  others compute again: no reason to stop
            logger.warning("the last results of run %s are not in the cache: %s", self._run, error)
