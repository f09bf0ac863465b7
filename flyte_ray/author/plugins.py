"""Which class makes the tasks of an environment, by the class of its `plugin_config`.

A list and a search, nothing else. An adapter registers a subclass of `Task`; environments and
overridden tasks ask here. A config that nobody registered is refused: what it asks for would
silently not happen. (`Sleep` needs no class: `engine/timers` knows its tasks.)
"""

from __future__ import annotations

from typing import Any, TypeVar

from flyte_ray.author.attributes import TaskAttributes
from flyte_ray.core.interface import Interface
from flyte_ray.core.timer import Sleep

T = TypeVar("T")

_classes: dict[type, type[Any]] = {}


class TaskPluginRegistry:
    """Task classes by the class of `plugin_config`.

    Example:
        >>> from flyte_ray.extend import TaskTemplate
        >>> class Spark: ...
        >>> class SparkTask(TaskTemplate): ...
        >>> TaskPluginRegistry.register(Spark, SparkTask)
        >>> TaskPluginRegistry.find(Spark) is SparkTask
        True
    """

    @staticmethod
    def register(config_type: type, plugin: type[Any]) -> None:
        """Make tasks of environments whose `plugin_config` is of that class by `plugin`.

        The plugin is called as `Task` is; one that changes how the function runs hands a wrapped
        function on to `super().__init__`. A later registration takes the place of an earlier one.

        Raises:
            TypeError: the plugin is no subclass of `TaskTemplate`.
        """
        if not issubclass(plugin, TaskAttributes):
            raise TypeError(
                f"the plugin for {config_type.__name__} must be a subclass of "
                f"flyte_ray.extend.TaskTemplate, not {plugin!r}"
            )
        _classes[config_type] = plugin

    @staticmethod
    def find(config_type: type) -> type[Any] | None:
        """The class that makes such tasks, or None."""
        return _classes.get(config_type)


def task_class(plugin_config: object, interface: Interface, plain: type[T]) -> type[T]:
    """The class for one task of an environment; `plain` where nothing special is asked for.

    Raises:
        TypeError: the function does not fit the plugin.
        ValueError: nobody registered a plugin for such a config.
    """
    if plugin_config is None:
        return plain
    if isinstance(plugin_config, Sleep):
        plugin_config.check_interface(interface)
        return plain
    found = TaskPluginRegistry.find(type(plugin_config))
    if found is None:
        raise ValueError(
            f"task {interface.name!r}: no plugin is registered for plugin_config="
            f"{type(plugin_config).__name__}(…). Leave it out, or register one with "
            "flyte_ray.extend.TaskPluginRegistry.register(…)."
        )
    return found
