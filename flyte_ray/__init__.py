"""Durable workflows on Ray: write plain Python tasks, keep every result in your own store.

The front door: every public name, resolved when it is first used, and nothing else. Importing it
costs next to nothing; Ray, pyarrow and pydantic come with the names that need them. `_NAMES` says
where each name lives; the block under `TYPE_CHECKING` says the same to type checkers.

Example:
    >>> import flyte_ray as flyte
    >>> env = flyte.TaskEnvironment(name="greetings")
    >>> @env.task
    ... def greet(name: str) -> str:
    ...     return f"Hello, {name}!"
    >>> greet("world")
    'Hello, world!'
"""

import importlib
from typing import TYPE_CHECKING, Any

from flyte_ray._checkout import add_adapters_to_path

add_adapters_to_path()  # first: every later import may ask for an adapter

if TYPE_CHECKING:
    from flyte_ray._release import version
    from flyte_ray.author.checkpoint import BaseCheckpoint, Checkpoint, latest_checkpoint
    from flyte_ray.author.condition import ConditionWebhook, new_condition
    from flyte_ray.author.environment import Environment, TaskEnvironment
    from flyte_ray.author.map import map  # noqa: A004 (Flyte's name)
    from flyte_ray.author.scope import (
        ctx,
        current_domain,
        current_project,
        custom_context,
        get_custom_context,
        group,
        is_control_plane_available,
    )
    from flyte_ray.author.task import AsyncFunctionTaskTemplate, TaskTemplate
    from flyte_ray.author.trace import trace
    from flyte_ray.client.deploying import build, build_images, deploy
    from flyte_ray.client.launch import rerun, run, with_runcontext
    from flyte_ray.client.logs import logger, system_logger
    from flyte_ray.client.script import run_python_script
    from flyte_ray.client.serving import AppHandle, serve, with_servecontext
    from flyte_ray.client.session import (
        init,
        init_from_api_key,
        init_from_config,
        init_in_cluster,
        init_passthrough,
    )
    from flyte_ray.core.cache import (
        Cache,
        CachePolicy,
        CacheRequest,
        FunctionBodyPolicy,
        ReachableCodePolicy,
    )
    from flyte_ray.core.devices import (
        AMD_GPU,
        APPLE_SILICON,
        GPU,
        HABANA_GAUDI,
        TPU,
        Device,
        DeviceClass,
        Neuron,
    )
    from flyte_ray.core.documentation import Documentation, Link
    from flyte_ray.core.image import Image
    from flyte_ray.core.pod import PodTemplate
    from flyte_ray.core.resources import Resources
    from flyte_ray.core.retry import Backoff, RetryStrategy
    from flyte_ray.core.reuse import ReusePolicy
    from flyte_ray.core.schedule import (
        Cron,
        FixedRate,
        OnArtifact,
        Trigger,
        TriggeredArtifact,
        TriggeredPartition,
        TriggerTime,
    )
    from flyte_ray.core.secret import Secret, SecretRequest
    from flyte_ray.core.timeout import Timeout, TimeoutType

_NAMES = {
    "_release": "version",
    "author.checkpoint": "BaseCheckpoint Checkpoint latest_checkpoint",
    "author.environment": "Environment TaskEnvironment",
    "author.condition": "ConditionWebhook new_condition",
    "author.map": "map",
    "author.scope": (
        "ctx current_domain current_project custom_context get_custom_context "
        "group is_control_plane_available"
    ),
    "author.task": "AsyncFunctionTaskTemplate TaskTemplate",
    "author.trace": "trace",
    "client.deploying": "build build_images deploy",
    "client.launch": "rerun run with_runcontext",
    "client.script": "run_python_script",
    "client.logs": "logger system_logger",
    "client.serving": "AppHandle serve with_servecontext",
    "client.session": ("init init_from_api_key init_from_config init_in_cluster init_passthrough"),
    "core.cache": "Cache CachePolicy CacheRequest FunctionBodyPolicy ReachableCodePolicy",
    "core.devices": "AMD_GPU APPLE_SILICON GPU HABANA_GAUDI TPU Device DeviceClass Neuron",
    "core.documentation": "Documentation Link",
    "core.image": "Image",
    "core.pod": "PodTemplate",
    "core.resources": "Resources",
    "core.retry": "Backoff RetryStrategy",
    "core.reuse": "ReusePolicy",
    "core.schedule": (
        "Cron FixedRate OnArtifact Trigger TriggeredArtifact TriggeredPartition TriggerTime"
    ),
    "core.secret": "Secret SecretRequest",
    "core.timeout": "Timeout TimeoutType",
}
"""Module, below this package -> the public names that live in it."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

_DOORS = frozenset(
    [
        "app",
        "artifacts",
        "clustered",
        "config",
        "durable",
        "errors",
        "extend",
        "extras",
        "io",
        "models",
        "notify",
        "record",
        "remote",
        "report",
        "storage",
        "syncify",
        "testing",
        "types",
    ]
)
"""Public modules: attributes that need no import of their own."""

__version__: str  # resolved like the other names

__all__ = [
    "AMD_GPU",
    "APPLE_SILICON",
    "AppHandle",
    "AsyncFunctionTaskTemplate",
    "Backoff",
    "BaseCheckpoint",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Checkpoint",
    "ConditionWebhook",
    "Cron",
    "Device",
    "DeviceClass",
    "Documentation",
    "Environment",
    "FixedRate",
    "FunctionBodyPolicy",
    "GPU",
    "HABANA_GAUDI",
    "Image",
    "Link",
    "Neuron",
    "OnArtifact",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReachableCodePolicy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TPU",
    "TaskEnvironment",
    "TaskTemplate",
    "Timeout",
    "TimeoutType",
    "Trigger",
    "TriggerTime",
    "TriggeredArtifact",
    "TriggeredPartition",
    "build",
    "build_images",
    "ctx",
    "current_domain",
    "current_project",
    "custom_context",
    "deploy",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "is_control_plane_available",
    "latest_checkpoint",
    "logger",
    "map",
    "new_condition",
    "rerun",
    "run",
    "run_python_script",
    "serve",
    "system_logger",
    "trace",
    "with_runcontext",
    "with_servecontext",
    "__version__",
    "version",
]


def __getattr__(name: str) -> Any:
    """Resolve a public name on first use; it is an ordinary attribute from then on."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name == "__version__":
        value = importlib.import_module(f"{__name__}._release").version()
    elif name in _DOORS:
        value = _door(name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _door(name: str) -> Any:
    full_name = f"{__name__}.{name}"
    try:
        return importlib.import_module(full_name)
    except ModuleNotFoundError as error:
        if error.name != full_name:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    """All public names, resolved or not."""
    return sorted({*globals(), *__all__, *_DOORS})
