"""What a task is, as a value, and the attributes under which users read it.

`Definition` is everything of a task but its environment; `TaskAttributes` gives each part and each
option a name of its own on the task (Flyte's names). Nothing here acts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from flyte_ray.codec.json_schema import interface_schema
from flyte_ray.core.cache import Cache
from flyte_ray.core.documentation import Documentation, Link
from flyte_ray.core.image import Image
from flyte_ray.core.interface import Interface
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.pod import PodTemplate
from flyte_ray.core.resources import Resources
from flyte_ray.core.retry import RetryStrategy
from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.core.secret import Secret
from flyte_ray.core.timeout import Timeout

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a task is, apart from the environment it belongs to."""

    func: Callable[..., Any]
    name: str
    """`<environment>.<function>`."""
    short_name: str
    interface: Interface
    options: TaskOptions
    environment: str | None = None
    """Name of the environment."""
    docs: Documentation | None = None
    triggers: tuple[Any, ...] = ()


class _Option(Generic[T]):
    """An attribute that reads the option of its own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, task: TaskAttributes, owner: type | None = None) -> T:
        if task is None:
            return self  # type: ignore[unreachable]  # asked of the class, as by help()
        return cast(T, getattr(task.options, self._name))


class TaskAttributes:
    """The readable side of a task."""

    _definition: Definition

    task_type = "python"
    debuggable = False
    task_resolver = None
    """Flyte's way to find a task in a container; addresses do that here."""

    image = _Option[Image | str | None]()
    resources = _Option[Resources | None]()
    env_vars = _Option[Mapping[str, str]]()
    secrets = _Option[tuple[Secret, ...]]()
    cache = _Option[Cache]()
    retries = _Option[RetryStrategy]()
    timeout = _Option[Timeout]()
    reusable = _Option[ReusePolicy | None]()
    interruptible = _Option[bool]()
    queue = _Option[str | None]()
    service_account = _Option[str | None]()
    pod_template = _Option[PodTemplate | str | None]()
    max_inline_io_bytes = _Option[int]()
    report = _Option[bool]()
    links = _Option[tuple[Link, ...]]()
    plugin_config = _Option[Any]()
    entrypoint = _Option[bool]()
    produces_artifacts = _Option[bool]()

    @property
    def func(self) -> Callable[..., Any]:
        """The function itself."""
        return self._definition.func

    @property
    def name(self) -> str:
        """`<environment>.<function>`."""
        return self._definition.name

    @property
    def short_name(self) -> str:
        """The name shown to people."""
        return self._definition.short_name

    @property
    def interface(self) -> Interface:
        """Names, types and defaults of inputs and outputs."""
        return self._definition.interface

    @property
    def native_interface(self) -> Interface:
        """`interface`, under Flyte's name."""
        return self._definition.interface

    @property
    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the object that holds the inputs."""
        return interface_schema(self.interface.inputs)

    @property
    def options(self) -> TaskOptions:
        """All options, merged from environment, decorator and override."""
        return self._definition.options

    @property
    def parent_env_name(self) -> str | None:
        """Name of the environment; kept where the environment itself is not."""
        return self._definition.environment

    @property
    def docs(self) -> Documentation | None:
        """What `docs=` said; the docstring is in `native_interface.doc`."""
        return self._definition.docs

    @property
    def triggers(self) -> tuple[Any, ...]:
        """The triggers of this task."""
        return self._definition.triggers

    @property
    def source_file(self) -> str | None:
        """The file in which the function stands."""
        try:
            return inspect.getsourcefile(inspect.unwrap(self.func))
        except TypeError:
            return None
