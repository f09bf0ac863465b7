"""How many replicas a pool keeps: a pure function of what is wanted, what there is, and the time.

Scaling up looks at work, not at calls: six thousand calls of a tenth of a millisecond are done
before a new process has started. Scaling down and the pool's own end look at idle time only. A
pool that a newer one has replaced (changed code) serves who still calls it and goes soon after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyte_ray.core.reuse import ReusePolicy

CLEARED_IN_S = 1.0
"""Enough replicas to work off what waits in about the time that one takes to start."""
REPLACED_TTL_S = 5.0
"""How long a replaced pool stays idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one caller wants of a pool just now."""

    in_hand: int = 0
    """Calls that replicas have."""
    waiting: int = 0
    pace_s: float = 1.0
    """How long a call takes, as far as is known."""

    @property
    def slots(self) -> float:
        """Slots that would keep up with it."""
        return self.in_hand + min(self.waiting, self.waiting * self.pace_s / CLEARED_IN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLook:
    """One replica, as its pool sees it."""

    name: str
    idle_s: float = 0.0
    """How long it has had nothing to do; 0 while it works or starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What to do: replicas to start, replicas to drain, and whether the pool itself ends."""

    start: int = 0
    drain: tuple[str, ...] = ()
    end: bool = False


def scaled(
    policy: ReusePolicy,
    demands: Sequence[Demand],
    replicas: Sequence[ReplicaLook],
    *,
    idle_s: float,
    is_replaced: bool = False,
) -> Scaling:
    """The next step of a pool.

    Args:
        policy: the author's limits.
        demands: of all callers that were heard of lately.
        replicas: living and starting ones.
        idle_s: how long nobody has wanted anything of the pool and no replica has worked.
        is_replaced: a newer pool of the same environment has taken over.
    """
    idle_ttl_s = REPLACED_TTL_S if is_replaced else policy.idle_ttl.total_seconds()
    scaledown_s = REPLACED_TTL_S if is_replaced else policy.scaledown_ttl.total_seconds()
    if idle_s >= idle_ttl_s:
        return Scaling(drain=tuple(replica.name for replica in replicas), end=True)
    slots = sum(demand.slots for demand in demands)
    fewest = 0 if is_replaced else policy.min_replicas
    wanted = max(fewest, min(policy.max_replicas, math.ceil(slots / policy.concurrency)))
    if len(replicas) < wanted:
        return Scaling(start=wanted - len(replicas))
    idle = sorted(replicas, key=lambda replica: -replica.idle_s)
    spare = [replica.name for replica in idle if replica.idle_s >= scaledown_s]
    return Scaling(drain=tuple(spare[: len(replicas) - wanted]))
