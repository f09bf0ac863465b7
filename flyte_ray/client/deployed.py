"""Tasks by name: what stands in for tasks that were deployed to a Flyte backend.

There is no registry of deployed tasks yet. A name is looked up among the tasks that this process
has loaded; anything else is a clear error with the next step. Nothing is looked up before it is
needed, as with Flyte.
"""

from __future__ import annotations

from typing import Any

from flyte_ray import errors
from flyte_ray.author import registry
from flyte_ray.author.task import Task
from flyte_ray.client.dual import blocking
from flyte_ray.core.context import current


class LazyEntity:
    """A task by name, found when it is first used."""

    def __init__(self, name: str, changes: dict[str, Any] | None = None) -> None:
        self.name = name
        self._changes = changes or {}

    @blocking
    def fetch(self) -> Task[..., Any]:
        """The task itself.

        Raises:
            RemoteTaskNotFoundError: this process has loaded no task of that name.
        """
        found: Task[..., Any] | None = next(registry.tasks_named(self.name), None)
        if found is None:
            loaded = ", ".join(registry.task_names()) or "none"
            raise errors.RemoteTaskNotFoundError(
                f"there is no task {self.name!r}: this release keeps no registry of deployed "
                f"tasks. Import the module that defines it (loaded here: {loaded})."
            )
        return found.override(**self._changes) if self._changes else found

    def override(self, **changes: Any) -> LazyEntity:
        """The same with other options."""
        return LazyEntity(self.name, {**self._changes, **changes})

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it inside a task, by keywords.

        Raises:
            RemoteTaskUsageError: outside of a task, or with positional arguments.
            RemoteTaskNotFoundError: this process has loaded no task of that name.
        """
        if args:
            raise errors.RemoteTaskUsageError(
                f"task {self.name!r} was found by name and takes keyword arguments only."
            )
        if current() is None:
            raise errors.RemoteTaskUsageError(
                f"task {self.name!r} was found by name and can only be called inside a task; "
                "outside of one use flyte_ray.run(task.fetch(), ...)."
            )
        return await self.fetch().aio(**kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name} by name>"


class DeployedTask:
    """`flyte_ray.remote.Task`: finds tasks by name."""

    @staticmethod
    def get(
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: str | None = None,
    ) -> LazyEntity:
        """A task by name; nothing is looked up before it is used.

        Raises:
            ValueError: neither version nor auto_version is given.
        """
        if version is None and auto_version not in ("latest", "current"):
            raise ValueError('Task.get needs version=... or auto_version="latest" or "current"')
        return LazyEntity(name)

    @staticmethod
    def listall(by_task_name: str | None = None, **_: Any) -> list[LazyEntity]:
        """The tasks that this process has loaded."""
        names = registry.task_names()
        return [LazyEntity(name) for name in names if by_task_name in (None, name)]
