"""What an app's environment is made of: scaling, ports, parameters. Values only, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flyte_ray.core.documentation import Link
from flyte_ray.errors import UsageError

__all__ = ["Link"]

TAKEN_PORTS = frozenset({8012, 8022, 8112, 9090, 9091})
LONGEST_REQUEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Scale by requests in flight."""

    value: int


@dataclass(frozen=True, slots=True)
class RequestRate:
    """Scale by requests a second."""

    value: float


@dataclass(frozen=True)
class Scaling:
    """How many replicas an app has.

    Example:
        >>> Scaling(replicas=(0, 3), metric=Scaling.Concurrency(10)).replicas
        (0, 3)
    """

    replicas: int | tuple[int, int] = (0, 1)
    metric: Concurrency | RequestRate | None = None
    scaledown_after: int | timedelta | None = None

    Concurrency = Concurrency
    RequestRate = RequestRate

    def __post_init__(self) -> None:
        both = (self.replicas, self.replicas) if isinstance(self.replicas, int) else self.replicas
        low, high = both
        if not 0 <= low <= high or high < 1:
            raise ValueError(f"Scaling: replicas must be (least, most), not {self.replicas!r}")
        object.__setattr__(self, "replicas", (low, high))


@dataclass(frozen=True, slots=True)
class Port:
    """Where an app listens."""

    port: int = 8080
    name: str | None = None

    def __post_init__(self) -> None:
        if self.port in TAKEN_PORTS or not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} cannot be an app's; choose another, such as 8080")


@dataclass(frozen=True, slots=True)
class Domain:
    """The name under which an app is reached."""

    subdomain: str | None = None
    custom_domain: str | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a request may take."""

    request: int | timedelta | None = None

    def __post_init__(self) -> None:
        limit = self.request
        span = timedelta(seconds=limit) if isinstance(limit, int) else limit
        if span is not None and span > LONGEST_REQUEST:
            raise ValueError(f"Timeouts: a request may take an hour at most, not {span}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutput:
    """An output of a run, as an app's parameter."""

    task_name: str | None = None
    run_name: str | None = None
    type: str | None = None
    getter: tuple[Any, ...] = (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactValue:
    """An artifact, as an app's parameter."""

    name: str
    version: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppEndpoint:
    """The URL of another app, as a parameter."""

    app_name: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that an app is given when it starts."""

    name: str
    value: Any = None
    type: Any = None
    env_var: str | None = None
    download: bool = False
    mount: str | None = None


@dataclass(frozen=True, slots=True)
class AppContext:
    """What a running app may know of itself."""

    parameters: dict[str, Any] = field(default_factory=dict)
    mode: str = "local"


def ctx() -> AppContext:
    """The running app's context; empty, since none runs.

    Example:
        >>> ctx().parameters
        {}
    """
    return AppContext()


def get_parameter(name: str) -> str:
    """The value of a parameter, from the environment variable of that name.

    Raises:
        UsageError: it is not set.
    """
    value = os.environ.get(name)
    if value is None:
        raise UsageError(
            f"parameter {name!r} is not set: apps are not served yet, so set the environment "
            f"variable {name} to run the app by hand"
        )
    return value
