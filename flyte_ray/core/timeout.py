"""How long a task may take: `Timeout` and the short forms of `timeout=`.

`max_runtime` and `max_queued_time` hold per attempt, `deadline` over all of them. None and 0 mean
no limit; after construction every limit is a positive timedelta or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias


@dataclass(frozen=True, slots=True, init=False)
class Timeout:
    """Limits on one task's time, as timedeltas or whole seconds.

    Raises:
        ValueError: a limit is negative or of another type.

    Example:
        >>> Timeout(max_runtime=90, deadline=timedelta(hours=1)).max_runtime
        datetime.timedelta(seconds=90)
    """

    max_runtime: timedelta | None
    """From an attempt's start to its end; exceeding it is charged to `retries`."""
    max_queued_time: timedelta | None
    """From the submission of an attempt to its start."""
    deadline: timedelta | None
    """From the first submission over all attempts; exceeding it is final."""

    def __init__(
        self,
        max_runtime: timedelta | int | None = None,
        max_queued_time: timedelta | int | None = None,
        deadline: timedelta | int | None = None,
    ) -> None:
        for name, limit in (
            ("max_runtime", max_runtime),
            ("max_queued_time", max_queued_time),
            ("deadline", deadline),
        ):
            object.__setattr__(self, name, _limit(name, limit))

    @property
    def is_unlimited(self) -> bool:
        """True when no limit is set."""
        return self.max_runtime is None and self.max_queued_time is None and self.deadline is None


TimeoutType: TypeAlias = Timeout | timedelta | int


def normalise_timeout(timeout: TimeoutType | None) -> Timeout:
    """What an author wrote as `timeout=`; a bare number or timedelta is the `max_runtime`.

    Raises:
        ValueError: negative, or of another type.

    Example:
        >>> normalise_timeout(30).max_runtime
        datetime.timedelta(seconds=30)
    """
    return timeout if isinstance(timeout, Timeout) else Timeout(max_runtime=timeout)


def _limit(name: str, value: object) -> timedelta | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | timedelta):
        raise ValueError(
            f"timeout: {name} must be a timedelta or whole seconds, not {value!r}; "
            f"for fractions write timedelta(seconds=0.5)"
        )
    limit = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if limit < timedelta(0):
        raise ValueError(f"timeout: {name} must not be negative, not {limit}")
    return limit or None
