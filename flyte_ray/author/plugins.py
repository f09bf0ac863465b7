"""Which class makes the tasks of an environment, by the class of its `plugin_config`.

A list and a search, nothing else. An adapter registers a subclass of `Task`; environments ask here.
A config that nobody registered is kept as it is, for whoever reads it (`engine/timers`).
"""

from __future__ import annotations

from typing import Any

from flyte_ray.author.task import Task
from flyte_ray.core.interface import Interface
from flyte_ray.core.timer import Sleep

_classes: dict[type, type[Task[..., Any]]] = {}


class TaskPluginRegistry:
    """Task classes by the class of `plugin_config`.

    Example:
        >>> class Spark: ...
        >>> class SparkTask(Task): ...
        >>> TaskPluginRegistry.register(Spark, SparkTask)
        >>> TaskPluginRegistry.find(Spark) is SparkTask
        True
    """

    @staticmethod
    def register(config_type: type, plugin: type[Task[..., Any]]) -> None:
        """Make tasks of environments whose `plugin_config` is of that class by `plugin`.

        The plugin is called as `Task` is; one that changes how the function runs hands a wrapped
        function on to `super().__init__`. A later registration takes the place of an earlier one.

        Raises:
            TypeError: the plugin is no subclass of `TaskTemplate`.
        """
        if not issubclass(plugin, Task):
            raise TypeError(
                f"the plugin for {config_type.__name__} must be a subclass of "
                f"flyte_ray.extend.TaskTemplate, not {plugin!r}"
            )
        _classes[config_type] = plugin

    @staticmethod
    def find(config_type: type) -> type[Task[..., Any]] | None:
        """The class that makes such tasks, or None."""
        return _classes.get(config_type)


def task_class(plugin_config: object, interface: Interface) -> type[Task[..., Any]]:
    """The class for one task of an environment.

    Raises:
        TypeError: the function does not fit the plugin.
    """
    if isinstance(plugin_config, Sleep):
        plugin_config.check_interface(interface)
    return TaskPluginRegistry.find(type(plugin_config)) or Task
