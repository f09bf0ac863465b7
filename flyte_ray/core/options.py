"""What an author may ask of a task, resolved: environment < task < override.

One frozen value per task object; `author/` merges the three levels into it, the executor reads it.
It holds no code and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_ray.core.cache import Cache
from flyte_ray.core.documentation import Link
from flyte_ray.core.image import Image
from flyte_ray.core.pod import PodTemplate
from flyte_ray.core.resources import Resources
from flyte_ray.core.retry import RetryStrategy
from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.core.secret import Secret
from flyte_ray.core.timeout import Timeout

INLINE_IO_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Everything about how a task runs, apart from its code and its inputs."""

    image: Image | str | None = None
    """An `Image`, a container URI, or None for the worker's own packages."""
    resources: Resources | None = None
    """None asks for 1 CPU."""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    cache: Cache = field(default_factory=lambda: Cache("disable"))
    retries: RetryStrategy = field(default_factory=lambda: RetryStrategy(0))
    timeout: Timeout = field(default_factory=Timeout)
    reusable: ReusePolicy | None = None
    """None: every call gets a worker of the cluster's own choice."""
    interruptible: bool = False
    queue: str | None = None
    service_account: str | None = None
    pod_template: PodTemplate | str | None = None
    max_inline_io_bytes: int = INLINE_IO_LIMIT_BYTES
    report: bool = False
    links: tuple[Link, ...] = ()
    plugin_config: Any | None = None
    entrypoint: bool = False
    produces_artifacts: bool = False
