"""A run as the store alone shows it: for runs of other processes, other clusters, other days."""

from __future__ import annotations

import time

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Settled
from flyte_ray.core.ports import Blobs
from flyte_ray.core.progress import Progress
from flyte_ray.engine.endings import recorded_end
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import Mailbox

POLL_S = 0.5


class StoredLink:
    """The `RunLink` port on the record. An abort is a letter that the run's host will read."""

    def __init__(self, blobs: Blobs, run: RunName) -> None:
        self._blobs = blobs
        self._run = run
        self._catalog = Catalog(blobs)
        self._end: Settled | None = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Look every half second until the record says that the run has ended."""
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        while self.settled() is None:
            if give_up_at is not None and time.monotonic() >= give_up_at:
                return False
            time.sleep(POLL_S if timeout_s is None else min(POLL_S, timeout_s))
        return True

    def settled(self) -> Settled | None:
        """How the root ended, once the run's last row is there."""
        if self._end is None:
            self._end = recorded_end(self._catalog, self._run)
        return self._end

    def progress(self) -> Progress | None:
        """The handle reads the record itself."""
        return None

    def abort(self, reason: str) -> None:
        """Put a letter into the run's mailbox; its host looks every two seconds."""
        Mailbox(self._blobs, self._run).post("abort", "abort", {"reason": reason})
