"""Is the owner of a run dead? Judged by what the observer itself has seen, by its own clock.

No two clocks are compared. An owner counts as dead when it said so (the run has ended), when
another one has claimed the run since, or when its heartbeat stood still through `ttl_s` of
*watched* time: a pause of the observer itself (stopped, suspended) counts as two looks at most, so
that one who wakes does not take everybody else for dead.

A wrong verdict costs a second computation, never a wrong result: see `leases`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.ownership import latest_epoch
from flyte_ray.store.run_file import read_heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPace:
    """How closely others are watched."""

    look_s: float
    """Time between two looks at one run; not longer than its owner's heartbeats are apart."""
    ttl_s: float
    """At least four heartbeats."""
    poll_s: float
    """Time between two looks for the result of one key."""
    beat_s: float = 10.0
    """Time between two heartbeats of a run that computes for others."""


LOCAL_WATCH = WatchPace(look_s=1.0, ttl_s=15.0, poll_s=0.05, beat_s=2.0)
REMOTE_WATCH = WatchPace(look_s=5.0, ttl_s=45.0, poll_s=1.0)


def watch_pace(blobs: Blobs) -> WatchPace:
    """The pace that suits a store."""
    return LOCAL_WATCH if is_local(blobs) else REMOTE_WATCH


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What was seen of one run."""

    beat: tuple[int, int] | None = None
    looked_s: float = float("-inf")
    quiet_s: float = 0.0
    ended_epoch: int = 0
    latest_epoch: int = 0


class Liveness:
    """Watches the owners of other runs. Thread-safe."""

    def __init__(
        self, blobs: Blobs, pace: WatchPace, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._blobs = blobs
        self._pace = pace
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def is_dead(self, run: str, epoch: int) -> bool:
        """True if nobody works for this run under this epoch. Three requests per `look_s`."""
        with self._lock:
            seen = self._seen.setdefault(run, _Seen())
            now = self._monotonic()
            if now - seen.looked_s >= self._pace.look_s:
                self._look(RunName(run), seen, now)
            return (
                epoch <= seen.ended_epoch
                or epoch < seen.latest_epoch
                or seen.quiet_s >= self._pace.ttl_s
            )

    def _look(self, run: RunName, seen: _Seen, now: float) -> None:
        finals = map(layout.number, self._blobs.list(layout.finals(run)))
        seen.ended_epoch = max((n for n in finals if n is not None), default=0)
        seen.latest_epoch = latest_epoch(self._blobs, run)
        beat = read_heartbeat(self._blobs, run)
        mark = (beat.epoch, beat.count) if beat is not None else None
        is_first = seen.looked_s == float("-inf")
        if is_first or mark != seen.beat:
            seen.quiet_s = 0.0
        else:
            seen.quiet_s += min(now - seen.looked_s, 2 * self._pace.look_s)
        seen.beat = mark
        seen.looked_s = now
