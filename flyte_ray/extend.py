"""PUBLIC: where adapters and libraries hook themselves in.

* `register(codec)`: store the values of some types in a format of your own. A package named
  `flyte_ray_<library>` is imported for the first value of that library, and registers itself then.
  A codec that is `Shareable` too has its values handed on between tasks without decoding.
* `TaskPluginRegistry.register(config, cls)`: make the tasks of environments with such a
  `plugin_config` by a class of your own.

Nothing else can be extended from here yet.
"""

from flyte_ray.author.plugins import TaskPluginRegistry
from flyte_ray.author.scope import is_initialized
from flyte_ray.author.task import AsyncFunctionTaskTemplate, TaskTemplate
from flyte_ray.codec.builtin import register
from flyte_ray.codec.codec import Codec, Encoded, Shareable, Traits

__all__ = [
    "AsyncFunctionTaskTemplate",
    "Codec",
    "Encoded",
    "Shareable",
    "TaskPluginRegistry",
    "TaskTemplate",
    "Traits",
    "is_initialized",
    "register",
]
