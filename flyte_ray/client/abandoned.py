"""Ending runs that nobody carries any more: their owner was killed, or its machine is gone.

A letter would never be read there. So the run's book is taken over, which fences the owner should
it still live, and closed: what was under way counts as aborted, what had succeeded stays.

Clocks of two machines are not compared: a run is left alone if anything of it moves while it is
watched (its heartbeat, its owner, its end), and closed if nothing does for as long as
`store/liveness` waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from flyte_ray import errors
from flyte_ray.client.run import Run
from flyte_ray.client.session import Session
from flyte_ray.client.watch import tell
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.engine.naming import owner_name
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.liveness import WatchPace, watch_pace
from flyte_ray.store.standing import standing_of


def end_abandoned(
    session: Session,
    runs: Sequence[Run],
    reason: str,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[RunName]:
    """Close the records of those runs that give no sign of life; their names.

    Watches all of them at once, 15 seconds at most, 45 where the store is remote. One whose host
    can be asked lives.

    Raises:
        StoreError: the store cannot be read or written.
    """
    blobs = session.blobs()
    tools = DeskTools(blobs=blobs, cache=session.cache(), clock=SystemClock(), owner=owner_name())
    specs = [run.spec for run in runs if not run.has_host]
    return [
        spec.name
        for spec in _silent(blobs, specs, watch_pace(blobs), monotonic, sleep)
        if _is_closed(tools, spec.name, reason)
    ]


def _silent(
    blobs: Blobs,
    specs: Sequence[RunSpec],
    pace: WatchPace,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> Sequence[RunSpec]:
    """Those of which nothing moved through `ttl_s` of watched time; a pause of ours is no time."""
    catalog = Catalog(blobs)
    first = {
        spec.name: standing_of(blobs, spec) for spec in specs if not catalog.is_over(spec.name)
    }
    left = [spec for spec in specs if spec.name in first]
    if left:
        names = ", ".join(first)
        tell(f"waiting for a sign of life of whoever carries {names} ({pace.ttl_s:.0f} s at most)")
    quiet_s, looked_s = 0.0, monotonic()
    while left and quiet_s < pace.ttl_s:
        sleep(pace.look_s)
        left = [spec for spec in left if standing_of(blobs, spec).is_that_of(first[spec.name])]
        now_s = monotonic()
        quiet_s += min(now_s - looked_s, 2 * pace.look_s)
        looked_s = now_s
    return left


def _is_closed(tools: DeskTools, name: RunName, reason: str) -> bool:
    try:
        HostDesk(tools).end_abandoned(name, reason)
    except errors.FencedError:
        return False  # somebody else was faster: it lives, or was ended just now
    return True
