"""How many warm workers an environment keeps, and for how long: `ReusePolicy`.

Numbers only; pools, replicas and their slots live in the runtime. A parent that waits gives its
slot up, so one replica with one slot is safe and draws no warning, unlike in Flyte.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

ReuseScope: TypeAlias = Literal["global", "run"]

SHORTEST_TTL = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, init=False)
class ReusePolicy:
    """Keep processes warm between calls; module state and loaded models stay.

    Raises:
        ValueError: a number is missing, malformed or out of range.

    Example:
        >>> ReusePolicy(replicas=(1, 4), idle_ttl=300).max_replicas
        4
    """

    replicas: tuple[int, int]
    """Fewest and most replicas; a single number is both."""
    idle_ttl: timedelta
    """After this long without a call all replicas go."""
    concurrency: int
    """Calls one replica works on at once (async tasks only)."""
    scaledown_ttl: timedelta
    """A replica idle for this long may go, down to the fewest."""
    scope: ReuseScope
    """"global": shared by all runs; "run": a pool per run."""

    def __init__(
        self,
        replicas: int | tuple[int, int] = 2,
        idle_ttl: int | timedelta = 30,
        concurrency: int = 1,
        scaledown_ttl: int | timedelta = 30,
        scope: ReuseScope = "global",
    ) -> None:
        if not _is_int(concurrency) or concurrency < 1:
            raise ValueError(
                f"ReusePolicy.concurrency must be a whole number >= 1, not {concurrency!r}"
            )
        if scope not in get_args(ReuseScope):
            raise ValueError(f"ReusePolicy.scope must be 'global' or 'run', not {scope!r}")
        object.__setattr__(self, "replicas", _replica_range(replicas))
        object.__setattr__(self, "idle_ttl", _ttl("idle_ttl", idle_ttl))
        object.__setattr__(self, "concurrency", concurrency)
        object.__setattr__(self, "scaledown_ttl", _ttl("scaledown_ttl", scaledown_ttl))
        object.__setattr__(self, "scope", scope)

    @property
    def min_replicas(self) -> int:
        """Replicas kept while the pool lives."""
        return self.replicas[0]

    @property
    def max_replicas(self) -> int:
        """Most replicas at once. `replicas=0` keeps none warm, yet a call needs one: 1 then."""
        return max(1, self.replicas[1])

    def get_scaledown_ttl(self) -> timedelta:
        """`scaledown_ttl`, under Flyte's name."""
        return self.scaledown_ttl


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _replica_range(replicas: object) -> tuple[int, int]:
    bounds = replicas if isinstance(replicas, tuple) else (replicas, replicas)
    if len(bounds) != 2 or not all(_is_int(bound) for bound in bounds):
        raise ValueError(
            f"ReusePolicy.replicas must be a whole number or a (min, max) tuple, not {replicas!r}"
        )
    low, high = bounds
    if low < 0 or low > high:
        raise ValueError(f"ReusePolicy.replicas must be 0 <= min <= max, not {replicas!r}")
    return low, high


def _ttl(name: str, value: object) -> timedelta:
    if not _is_int(value) and not isinstance(value, timedelta):
        raise ValueError(f"ReusePolicy.{name} must be whole seconds or a timedelta, not {value!r}")
    ttl = value if isinstance(value, timedelta) else timedelta(seconds=value)  # type: ignore[arg-type]
    if ttl < SHORTEST_TTL:
        raise ValueError(f"ReusePolicy.{name} must be at least 30 seconds, not {ttl}")
    return ttl
