"""Folds the book of a run beside its host: now and then while it goes on, and at its end.

The host says when; the work (`compaction`) is done on a thread of its own, one at a time. What goes
wrong here is logged and no more: everything it makes can be made again by `flyte-ray store
compact`. Rule: the end of a run waits for a small book on a local store (some milliseconds), for
nothing else; but a process does not end before the folding that it began.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import FlyteRayError
from flyte_ray.store.blobs import is_local
from flyte_ray.store.compaction import SLOTS_A_PART, compact_run, fold_blocks
from flyte_ray.store.digests import LookInside, look_nowhere
from flyte_ray.store.summaries import merge_is_due, merge_summaries

logger = logging.getLogger(__name__)

SMALL_RUN = 100
"""Actions that are written down while the run's end waits."""


class Folding:
    """The folding of one run's book. Thread-safe."""

    def __init__(
        self, blobs: Blobs, run: RunName, *, look_inside: LookInside = look_nowhere
    ) -> None:
        """`look_inside`: what works out the elements of plain containers (`digests`)."""
        self._look_inside = look_inside
        self._blobs = blobs
        self._run = run
        self._turn = threading.Lock()
        self._tried_below = self._folded_below = 0

    def keep_up(self, stored_below: int) -> None:
        """Fold what is due of a run that goes on; returns at once, and nothing is due mostly.

        `stored_below`: every slot below is stored.
        """
        if stored_below - self._tried_below < SLOTS_A_PART or not self._turn.acquire(False):
            return
        self._tried_below = stored_below
        threading.Thread(target=self._fold, args=(stored_below,), daemon=True).start()

    def finish(self, actions: int) -> None:
        """The run of so many actions has ended, `final/` says so: write its tables."""
        if is_local(self._blobs) and actions <= SMALL_RUN:
            self._end()
            if merge_is_due(self._blobs):
                self._begin(self._merge)
        else:
            self._begin(self._end_and_merge)

    def _begin(self, work: Callable[[], None]) -> None:
        # No daemon, as whoever calls may be: a script's interpreter waits for it, and does not
        # pull the ground from under a thread in the midst of Arrow's code.
        name = f"flyte-ray-fold-{self._run}"
        threading.Thread(target=work, name=name, daemon=False).start()

    def _fold(self, stored_below: int) -> None:
        try:
            done_below, self._folded_below = self._folded_below, 0
            fold_blocks(self._blobs, self._run, stored_below, done_below=done_below)
            self._folded_below = stored_below
        except (FlyteRayError, OSError) as error:
            logger.warning("the book of run %s is folded later: %s", self._run, error)
        finally:
            self._turn.release()

    def _end(self) -> None:
        with self._turn:
            try:
                compact_run(self._blobs, self._run, look_inside=self._look_inside)
            except (FlyteRayError, OSError) as error:
                logger.warning(
                    "the record of run %s is not compacted (`flyte-ray store compact` does it): %s",
                    self._run,
                    error,
                )
            except Exception:  # derived data: a fault in it must not cost the run its end
                logger.exception("the record of run %s cannot be compacted", self._run)

    def _end_and_merge(self) -> None:
        self._end()
        self._merge()

    def _merge(self) -> None:
        """The rows of many ended runs into one file, if there are many; this run's may be one."""
        try:
            merge_summaries(self._blobs)
        except (FlyteRayError, OSError) as error:
            logger.warning("the rows of ended runs are merged later: %s", error)
