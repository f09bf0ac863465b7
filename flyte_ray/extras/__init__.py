"""PUBLIC: tools that a task may need beside the engine.

`DynamicBatcher` and `TokenBatcher` turn many small requests into few large ones; `Sleep` makes
tasks that only wait. `ContainerTask` and `shell` are known by name, and say what to do instead.
"""

from flyte_ray.core.timer import Sleep
from flyte_ray.extras import shell
from flyte_ray.extras.batching import BatchStats, DynamicBatcher
from flyte_ray.extras.container import ContainerTask, ContainerTaskUnavailableError
from flyte_ray.extras.tokens import Prompt, TokenBatcher

__all__ = [
    "BatchStats",
    "ContainerTask",
    "ContainerTaskUnavailableError",
    "DynamicBatcher",
    "Prompt",
    "Sleep",
    "TokenBatcher",
    "shell",
]
