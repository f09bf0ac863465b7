"""How often a failed attempt is tried again, and after what pause.

attempts = count + 1;  delay before retry n (0-based) = min(base · factorⁿ, cap).
Retries here are the author's; the platform's own budget stands in `core/lifecycle`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta


def _is_finite(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause before a retry, growing from `base` by `factor` up to `cap`.

    Example:
        >>> Backoff(timedelta(seconds=1), factor=2, cap=timedelta(seconds=5)).compute_delay(1)
        datetime.timedelta(seconds=2)
    """

    base: timedelta
    factor: float = 1.0
    cap: timedelta | None = None
    """Needed when `factor` is above 1."""

    def __post_init__(self) -> None:
        for name, value in (("base", self.base), ("cap", self.cap)):
            if value is None and name == "cap":
                continue
            if not isinstance(value, timedelta):
                raise ValueError(f"Backoff.{name} must be a timedelta, not {value!r}")
            if value < timedelta(0):
                raise ValueError(f"Backoff.{name} must not be negative, not {value}")
        if not _is_finite(self.factor) or self.factor < 1:
            raise ValueError(f"Backoff.factor must be a finite number >= 1, not {self.factor!r}")
        if self.factor > 1 and self.cap is None:
            raise ValueError("Backoff.cap is needed when factor is above 1")

    def compute_delay(self, n: int) -> timedelta:
        """The pause before retry `n`, counted from 0.

        Raises:
            ValueError: `n` is negative.
        """
        if n < 0:
            raise ValueError(f"retries are counted from 0, not {n}")
        try:
            delay = self.base * self.factor**n
        except OverflowError:
            delay = timedelta.max if self.base else timedelta(0)
        return delay if self.cap is None else min(delay, self.cap)


DEFAULT_BACKOFF = Backoff(timedelta(milliseconds=100), factor=2.0, cap=timedelta(seconds=30))
"""For strategies that name none: quick enough for a test, patient enough for a flaky service."""


@dataclass(frozen=True, slots=True)
class RetryStrategy:
    """How many times a failed task is tried again, and how fast.

    Example:
        >>> RetryStrategy(3, Backoff(timedelta(seconds=2))).delay(0)
        2.0
    """

    count: int
    """Retries after the first attempt."""
    backoff: Backoff | None = None
    """None: `DEFAULT_BACKOFF`."""

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int):
            raise ValueError(f"retries must be a whole number, not {self.count!r}")
        if self.count < 0:
            raise ValueError(f"retries must not be negative, not {self.count}")
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise ValueError(f"RetryStrategy.backoff must be a Backoff, not {self.backoff!r}")

    def delay(self, n: int) -> float:
        """Seconds to wait before retry `n`, counted from 0."""
        return (self.backoff or DEFAULT_BACKOFF).compute_delay(n).total_seconds()


def normalise_retries(retries: int | RetryStrategy | None) -> RetryStrategy:
    """What an author wrote as `retries=`, as a strategy; None means no retries.

    Raises:
        ValueError: of another type, or negative.

    Example:
        >>> normalise_retries(2).count
        2
    """
    if isinstance(retries, RetryStrategy):
        return retries
    return RetryStrategy(0 if retries is None else retries)
