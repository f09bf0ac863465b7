"""A run as the store alone shows it: for runs of other processes, other clusters, other days.

A look costs requests, of a large run time too. Whoever waits looks every half second, or, where a
look takes long, so seldom that looking takes a fifth of the time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Settled
from flyte_ray.core.ports import Blobs
from flyte_ray.core.progress import Progress
from flyte_ray.engine.endings import recorded_end
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import Mailbox

POLL_S = 0.5
LOOKS_TAKE = 1 / 5


class StoredLink:
    """The `RunLink` port on the record. An abort is a letter that the run's host will read."""

    def __init__(
        self,
        blobs: Blobs,
        run: RunName,
        catalog: Catalog | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Follow a run; with the catalog of somebody who reads it too, its book is read once."""
        self._blobs = blobs
        self._run = run
        self._catalog = catalog or Catalog(blobs)
        self._monotonic = monotonic
        self._sleep = sleep
        self._next_look_at = -math.inf
        self._end: Settled | None = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Look now and then until the record says that the run has ended, or the time is over.

        Who waits again and again for a moment causes no more looks than who waits once for long.
        """
        give_up_at = math.inf if timeout_s is None else self._monotonic() + timeout_s
        while self._end is None:
            now = self._monotonic()
            if now >= self._next_look_at:
                self.settled()
            elif now >= give_up_at:
                return False
            else:
                self._sleep(min(self._next_look_at, give_up_at) - now)
        return True

    def settled(self) -> Settled | None:
        """How the root ended, once the run's last row is there. Always a look."""
        if self._end is None:
            began = self._monotonic()
            if self._catalog.is_over(self._run):
                self._end = recorded_end(self._catalog, self._run)
            looked = self._monotonic()
            self._next_look_at = looked + max(POLL_S, (looked - began) * (1 / LOOKS_TAKE - 1))
        return self._end

    def progress(self) -> Progress | None:
        """The handle reads the record itself."""
        return None

    def abort(self, reason: str) -> None:
        """Put a letter into the run's mailbox; its host looks every two seconds."""
        Mailbox(self._blobs, self._run).post("abort", "abort", {"reason": reason})
