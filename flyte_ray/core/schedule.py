"""When a task starts by itself: `Trigger` and its automations, checked where they are written.

This room says when; a scheduler (not here) watches the clock and starts the runs.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from flyte_ray.core.cron import CronTimes, parse_cron


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of a cron expression, in a time zone.

    Raises:
        ValueError: the expression or the time zone cannot be read.

    Example:
        >>> Cron("0 9 * * mon-fri", timezone="UTC").timezone_expression
        '0 9 * * mon-fri'
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        parse_cron(self.expression)
        if self.timezone == "UTC":
            return
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"Cron: unknown time zone {self.timezone!r}; write a name such as 'Europe/Berlin' "
                f"(on a machine without time zone data, install the package tzdata)"
            ) from None

    @property
    def timezone_expression(self) -> str:
        """The expression with its zone in front, unless that is UTC."""
        if self.timezone == "UTC":
            return self.expression
        return f"CRON_TZ={self.timezone} {self.expression}"

    @property
    def times(self) -> CronTimes:
        """The expression, read."""
        return parse_cron(self.expression)


@dataclass(frozen=True, slots=True)
class FixedRate:
    """Every so many minutes.

    Raises:
        ValueError: fewer than one minute.

    Example:
        >>> FixedRate(15).interval_minutes
        15
    """

    interval_minutes: int
    start_time: datetime | None = None
    """When counting begins; None: when the trigger becomes active."""

    def __post_init__(self) -> None:
        minutes = self.interval_minutes
        if type(minutes) is not int or minutes < 1:
            raise ValueError(f"FixedRate: interval_minutes must be 1 or more, not {minutes!r}")


@dataclass(frozen=True, slots=True, init=False)
class OnArtifact:
    """When an artifact of that name is published.

    Example:
        >>> OnArtifact("daily-sales", region="eu").partitions
        {'region': 'eu'}
    """

    name: str
    version: str | None
    partitions: Mapping[str, Any]
    """Only artifacts with these partition values."""

    def __init__(
        self,
        name: str,
        version: str | None = None,
        partitions: Mapping[str, Any] | None = None,
        **partition_kwargs: Any,
    ) -> None:
        if not name:
            raise ValueError("OnArtifact: the artifact's name must not be empty")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "partitions", {**(partitions or {}), **partition_kwargs})


class _TriggerTime:
    """Type of the sentinel `TriggerTime`; there is one instance per process."""

    __slots__ = ()
    only: ClassVar[_TriggerTime | None] = None

    def __new__(cls) -> _TriggerTime:
        if cls.only is None:
            cls.only = super().__new__(cls)
        return cls.only

    def __repr__(self) -> str:
        return "TriggerTime"

    def __reduce__(self) -> str:
        return "TriggerTime"


TriggerTime = _TriggerTime()
"""As an input of a trigger: the time it was due, in UTC."""


@dataclass(frozen=True, slots=True)
class TriggeredArtifact:
    """As an input of a trigger: the artifact that set it off.

    Example:
        >>> TriggeredArtifact() == TriggeredArtifact()
        True
    """


@dataclass(frozen=True, slots=True)
class TriggeredPartition:
    """As an input of a trigger: a partition value of the artifact that set it off.

    Example:
        >>> TriggeredPartition("region").name
        'region'
    """

    name: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """Starts a run of the task it is attached to, without anybody asking.

    Raises:
        ValueError: no name, or an input that the automation cannot provide.

    Example:
        >>> Trigger("nightly", Cron("0 2 * * *"), inputs={"start": TriggerTime}).auto_activate
        True
    """

    name: str
    automation: Cron | FixedRate | OnArtifact | None = None
    description: str = ""
    auto_activate: bool = True
    """Active as soon as it is deployed."""
    inputs: Mapping[str, Any] | None = None
    env_vars: Mapping[str, str] | None = None
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    max_action_concurrency: int | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    notifications: Any | None = None
    custom_context: Mapping[str, str] | None = field(default=None)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Trigger: the name must not be empty")
        values = list((self.inputs or {}).values())
        artifacts = [each for each in values if _stands_for(each, TriggeredArtifact)]
        partitions = [each for each in values if _stands_for(each, TriggeredPartition)]
        if any(each is TriggerTime for each in values) and not isinstance(
            self.automation, Cron | FixedRate
        ):
            raise ValueError(
                f"Trigger {self.name!r}: TriggerTime needs a Cron or FixedRate automation"
            )
        if (artifacts or partitions) and not isinstance(self.automation, OnArtifact):
            raise ValueError(
                f"Trigger {self.name!r}: TriggeredArtifact and TriggeredPartition need an "
                f"OnArtifact automation"
            )
        if len(artifacts) > 1:
            raise ValueError(f"Trigger {self.name!r}: only one input may be the TriggeredArtifact")

    @classmethod
    def minutely(
        cls, trigger_time_input_key: str | None = None, *, name: str = "minutely", **settings: Any
    ) -> Trigger:
        """Every minute; the time due goes into the input of that key."""
        return _timed(name, "* * * * *", trigger_time_input_key, settings)

    @classmethod
    def hourly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "hourly", **settings: Any
    ) -> Trigger:
        """Every hour, on the hour."""
        return _timed(name, "0 * * * *", trigger_time_input_key, settings)

    @classmethod
    def daily(
        cls, trigger_time_input_key: str | None = None, *, name: str = "daily", **settings: Any
    ) -> Trigger:
        """Every day at midnight UTC."""
        return _timed(name, "0 0 * * *", trigger_time_input_key, settings)

    @classmethod
    def weekly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "weekly", **settings: Any
    ) -> Trigger:
        """Every Sunday at midnight UTC."""
        return _timed(name, "0 0 * * 0", trigger_time_input_key, settings)

    @classmethod
    def monthly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "monthly", **settings: Any
    ) -> Trigger:
        """On the first of every month at midnight UTC."""
        return _timed(name, "0 0 1 * *", trigger_time_input_key, settings)


def _stands_for(value: object, kind: type) -> bool:
    return value is kind or isinstance(value, kind)


def _timed(name: str, expression: str, key: str | None, settings: dict[str, Any]) -> Trigger:
    inputs = dict(settings.pop("inputs", None) or {})
    if key is not None:
        inputs[key] = TriggerTime
    return Trigger(name, Cron(expression), inputs=inputs or None, **settings)
