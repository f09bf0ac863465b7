"""Environments: named bundles of options, and the decorator that makes tasks of functions.

An environment only describes. It is checked where it is written, remembered in the registry in the
order of loading, and merged with decorator and override into the options of each task.
"""

from __future__ import annotations

import inspect
import re
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from flyte_ray.author import registry
from flyte_ray.author.attributes import Definition
from flyte_ray.author.plugins import task_class
from flyte_ray.author.settings import (
    TaskSettings,
    check_concurrency,
    check_option,
    decorated,
    refuse_unknown,
)
from flyte_ray.author.task import Task
from flyte_ray.core.cache import Cache, CacheRequest
from flyte_ray.core.image import Image
from flyte_ray.core.interface import Interface
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.pod import PodTemplate
from flyte_ray.core.resources import Resources
from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.core.secret import SecretRequest

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_LONGEST_DESCRIPTION = 255


class TaskDecorator(Protocol):
    """What `env.task(...)` returns: makes a task of a function."""

    def __call__(self, func: Callable[P, R], /) -> Task[P, R]: ...


class CloneChanges(TypedDict, total=False):
    """What `clone_with` takes beside the name; what is left out or None is inherited."""

    image: Image | str | None
    resources: Resources | None
    env_vars: Mapping[str, str] | None
    secrets: SecretRequest | None
    depends_on: Sequence[Environment] | None
    description: str | None
    interruptible: bool | None
    include: tuple[str, ...] | None
    service_account: str | None
    cache: CacheRequest | None
    reusable: ReusePolicy | None
    """None, where it is given, makes the clone run without warm workers."""


@dataclass(eq=False)
class Environment:
    """A named bundle of options. `TaskEnvironment` is the one that holds tasks.

    Example:
        >>> base = Environment(name="base", env_vars={"REGION": "eu"})
        >>> base.tasks
        {}
    """

    name: str
    """Lower-case letters and digits, joined by single `-` or `_`."""
    depends_on: Sequence[Environment] = ()
    """Environments whose tasks are called from here; used for packaging and checks."""
    pod_template: str | PodTemplate | None = None
    description: str | None = None
    """Cut after 255 characters."""
    secrets: SecretRequest | None = None
    env_vars: Mapping[str, str] | None = None
    resources: Resources | None = None
    """None asks for 1 CPU."""
    interruptible: bool = False
    image: str | Image | None = "auto"
    """"auto" and None: the worker's own packages."""
    include: tuple[str, ...] = ()
    """Further files to ship with the code; relative to the file that makes the environment."""

    module: str | None = field(init=False, default=None, repr=False)
    """The module that made this environment."""
    source_file: str | None = field(init=False, default=None, repr=False)
    """Its file; `include` is relative to the folder of it."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"the name of an environment must be a text, not {self.name!r}")
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(
                f"environment name {self.name!r} must be lower-case letters and digits, joined by "
                f"single '-' or '_'"
            )
        for name in ("image", "pod_template", "resources"):
            check_option(name, getattr(self, name), self.name)
        check_option("interruptible", bool(self.interruptible), self.name)
        check_option("secrets", self.secrets, self.name)
        self.env_vars = check_option("env_vars", self.env_vars, self.name)
        if self.description is not None:
            self.description = self.description[:_LONGEST_DESCRIPTION]
        self.include = _included(self.include, self.name)
        wanted, self.depends_on = self.depends_on, []
        self.add_dependency(*wanted)
        self.module, self.source_file = _maker()
        registry.register(self)

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """Tasks by full name; none here."""
        return {}

    def add_dependency(self, *environments: Environment) -> None:
        """Add to `depends_on`; what is there already is left out.

        Raises:
            TypeError: no environment.
            ValueError: an environment of this one's own name.
        """
        known = list(self.depends_on)
        for each in environments:
            if not isinstance(each, Environment):
                raise TypeError(f"{self.name!r} can only depend on environments, not {each!r}")
            if each.name == self.name:
                raise ValueError(f"environment {self.name!r} cannot depend on its own name")
            if not any(each is other for other in known):
                known.append(each)
        self.depends_on = known


@dataclass(eq=False)
class TaskEnvironment(Environment):
    """Options for a set of tasks, and the decorator that makes them.

    Raises:
        ValueError: the name or a combination of options is not allowed.
        TypeError: an option is of the wrong type.

    Example:
        >>> env = TaskEnvironment(name="training", resources=Resources(cpu=2), cache="auto")
        >>> @env.task(retries=3)
        ... async def train(epochs: int = 10) -> float:
        ...     return 1.0 / epochs
        >>> list(env.tasks), train.retries.count
        (['training.train'], 3)
    """

    service_account: str | None = None
    cache: CacheRequest = "disable"
    """Of tasks that say nothing themselves; True is "auto", False is "disable"."""
    reusable: ReusePolicy | None = None
    """Run on warm workers that this environment's tasks share."""
    plugin_config: Any | None = None
    queue: str | None = None

    _tasks: dict[str, Task[..., Any]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("service_account", "reusable", "queue"):
            check_option(name, getattr(self, name), self.name)
        self.cache = check_option("cache", self.cache, self.name) or Cache("disable")
        warm_ready = getattr(type(self.plugin_config), "supports_reuse_policy", False)
        if self.reusable is not None and self.plugin_config is not None and not warm_ready:
            raise ValueError(
                f"environment {self.name!r}: {type(self.plugin_config).__name__} cannot run on "
                f"reusable workers; leave out reusable or plugin_config"
            )
        super().__post_init__()

    @property
    def tasks(self) -> dict[str, Task[..., Any]]:
        """Tasks by full name, in the order of their definition."""
        return self._tasks

    @property
    def options(self) -> TaskOptions:
        """What a task of this environment gets when its decorator says nothing."""
        return TaskOptions(
            image=None if self.image == "auto" else self.image,
            resources=self.resources,
            env_vars=dict(self.env_vars or {}),
            secrets=check_option("secrets", self.secrets, self.name) or (),
            cache=check_option("cache", self.cache, self.name),
            reusable=self.reusable,
            interruptible=self.interruptible,
            queue=self.queue,
            service_account=self.service_account,
            pod_template=self.pod_template,
            plugin_config=self.plugin_config,
        )

    @overload
    def task(self, func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **settings: Unpack[TaskSettings]) -> TaskDecorator: ...
    def task(
        self, func: Callable[..., Any] | None = None, /, **settings: Unpack[TaskSettings]
    ) -> Any:
        """Make a task of a function; bare (`@env.task`) or with options (`@env.task(retries=2)`).

        Raises:
            TypeError: not a function, an unknown option, or one of the wrong type.
            ValueError: `*args` or `**kwargs`, a generator, or options that do not go together.
        """
        if func is not None:
            return self._add(func, settings)

        def decorator(function: Callable[..., Any]) -> Task[..., Any]:
            return self._add(function, settings)

        return decorator

    def _add(self, func: Callable[..., Any], settings: TaskSettings) -> Task[..., Any]:
        name = f"{self.name}.{_function_name(func)}"
        options = decorated(self.options, settings, where=name)
        check_concurrency(options, is_async=inspect.iscoroutinefunction(func), where=name)
        triggers = settings.get("triggers") or ()
        interface = Interface.from_callable(func, name=name)
        definition = Definition(
            func=func,
            name=name,
            short_name=settings.get("short_name") or func.__name__,
            interface=interface,
            options=options,
            environment=self.name,
            docs=settings.get("docs"),
            triggers=tuple(triggers) if isinstance(triggers, list | tuple) else (triggers,),
        )
        make = task_class(self.plugin_config, interface, Task)
        task: Task[..., Any] = make(definition, parent_env=weakref.ref(self))
        task.fix_code()
        self._tasks[name] = task
        return task

    def clone_with(self, name: str, **changes: Unpack[CloneChanges]) -> TaskEnvironment:
        """A new environment with these options changed, and without tasks.

        Raises:
            TypeError: an option that a clone cannot change.
        """
        refuse_unknown(changes, frozenset(CloneChanges.__annotations__), f"clone of {self.name!r}")
        kept: dict[str, Any] = {
            option: value
            for option, value in changes.items()
            if value is not None or option == "reusable"
        }
        clone = replace(self, name=name, **kept)
        if "include" not in kept:
            clone.source_file = self.source_file  # inherited paths stay relative to where they were
        return clone

    @classmethod
    def from_task(
        cls, name: str, *tasks: Task[..., Any], depends_on: Sequence[Environment] | None = None
    ) -> TaskEnvironment:
        """An environment around tasks that have none yet; their names stay as they are.

        Raises:
            ValueError: a task has an environment already, or the images differ.
        """
        for task in tasks:
            if task.parent_env_name is not None:
                raise ValueError(
                    f"task {task.name!r} belongs to environment {task.parent_env_name!r} already"
                )
        images = [task.image for task in tasks]
        if any(image is not images[0] for image in images):
            raise ValueError(f"the tasks of environment {name!r} must share one image")
        image = images[0] if images else None
        environment = cls(name=name, image=image or "auto", depends_on=list(depends_on or ()))
        for task in tasks:
            task.adopt(environment, name)
            environment._tasks[task.name] = task
        return environment


def _included(include: object, where: str) -> tuple[str, ...]:
    if isinstance(include, str) or not isinstance(include, list | tuple):
        raise TypeError(f"environment {where!r}: include must be a tuple of paths, not {include!r}")
    for path in include:
        if not isinstance(path, str):
            raise TypeError(f"environment {where!r}: include holds {path!r}, which is no text")
    return tuple(include)


def _function_name(func: object) -> str:
    if isinstance(func, Task):
        raise TypeError(f"{func.name!r} is a task already")
    if not callable(func) or not hasattr(func, "__name__"):
        raise TypeError(f"a task is made of a function, not of {func!r}")
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise ValueError(
            f"{func.__name__!r} is a generator, whose items cannot be recorded one by one as the "
            f"output of a task; return a list, or decorate it with `flyte_ray.trace`"
        )
    return str(func.__name__)


def _maker() -> tuple[str | None, str | None]:
    """Module and file of the code outside of this package that makes an environment."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.split(".")[0] != "flyte_ray":
            return name, frame.f_code.co_filename
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None, None
