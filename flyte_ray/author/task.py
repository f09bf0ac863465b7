"""The task object: what `@env.task` makes of a function, and what calling it means.

A task asks, it does not know whom: inside an action the call goes to the controller found in the
context, outside of one it is a plain Python call. An async task gives a coroutine, and nothing is
asked for, bound or refused before that is awaited.

A task travels by its address where its module can be imported, else by value; by value it takes
its code identity along, which the receiver could not compute without the source.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from flyte_ray.author import live_code, reference
from flyte_ray.author.attributes import Definition, TaskAttributes
from flyte_ray.author.plugins import task_class
from flyte_ray.author.settings import Overrides, check_concurrency, overridden
from flyte_ray.core import fingerprint
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import Call
from flyte_ray.core.context import ActionContext, current, entered
from flyte_ray.core.digest import digest_json
from flyte_ray.core.fingerprint import Code
from flyte_ray.core.options import TaskOptions
from flyte_ray.errors import SyncTaskCallInAsyncContextError, TraceDoesNotAllowNestedTasksError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Task(TaskAttributes, Generic[P, R]):
    """A function that runs as an action of its own when another task calls it.

    Example:
        >>> from flyte_ray import TaskEnvironment
        >>> env = TaskEnvironment(name="sums")
        >>> @env.task
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> double.name, double(4)
        ('sums.double', 8)
    """

    _given: Definition
    """As it was before a plugin's `__init__` wrapped the function: overrides are made from it."""

    def __new__(cls, definition: Definition, **_: Any) -> Task[P, R]:
        made = object.__new__(cls)
        made._given = definition
        return made

    def __init__(
        self,
        definition: Definition,
        *,
        parent_env: weakref.ref[Any] | None = None,
        base: Task[P, R] | None = None,
    ) -> None:
        """Make a task.

        Args:
            definition: what it is.
            parent_env: the environment, where it lives in this process.
            base: the task that this one overrides.
        """
        self._definition = definition
        self._base = base
        self._address: TaskAddress | None = None
        self._code: Code | None = None
        self._came_by_value = False
        """True where the code came along and cannot be read anew here."""
        self._identities: tuple[str, str] | None = None
        self._cache_version: str | None = None
        self.parent_env = parent_env
        self.is_async = inspect.iscoroutinefunction(definition.func)
        self.__doc__ = inspect.getdoc(definition.func)

    # ------------------------------------------------------------------------------- calling

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        here = current()
        if here is None:
            return cast(R, self.func(*args, **kwargs))
        if self.is_async:
            return cast(R, self._submit(here, args, kwargs))
        self._refuse_in_trace(here)
        if _loop_runs_here():
            raise SyncTaskCallInAsyncContextError(
                f"task {self.name!r} is a plain function and would block the running event loop; "
                f"use `await {self.short_name}.aio(...)`"
            )
        return cast(R, here.controller.submit_blocking(self._bound(args, kwargs)))

    @overload
    def aio(
        self: Task[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        """The call in awaitable form, for plain functions too.

        Outside of an action the function runs in place.
        """
        here = current()
        if here is not None:
            return await self._submit(here, args, kwargs)
        result = self.func(*args, **kwargs)
        return await result if self.is_async else result

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, in this process, without an action of its own."""
        return cast(R, self.func(*args, **kwargs))

    async def _submit(
        self, made_in: ActionContext, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Ask for the call. Group and scope are those of where it is awaited, as with Flyte."""
        here = current()
        if here is None:  # awaited on a loop that does not carry the context
            with entered(made_in):
                return await self._submit(made_in, args, kwargs)
        self._refuse_in_trace(here)
        return await here.controller.submit(self._bound(args, kwargs))

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(task=self, inputs=self.interface.bind(*args, **kwargs))

    def _refuse_in_trace(self, here: ActionContext) -> None:
        if here.in_trace:
            raise TraceDoesNotAllowNestedTasksError(
                f"task {self.name!r} was called inside a traced function, where only its "
                f"`{self.short_name}.forward(...)` may be used; call the task from the task itself"
            )

    # ---------------------------------------------------------------------------- overriding

    def override(self, **changes: Unpack[Overrides]) -> Task[P, R]:
        """The same task with other options; this one is left as it is.

        Values that are false (None, 0, empty) keep what was there. On a reusable environment,
        resources, env_vars, secrets and service_account need `reusable="off"` in the same call.

        Raises:
            TypeError: unknown parameter or wrong type.
            ValueError: the parameter cannot be overridden (here); or no plugin is registered for
                such a `plugin_config`.
        """
        options = overridden(self._given.options, changes, where=self.name)
        check_concurrency(options, is_async=self.is_async, where=self.name)
        definition = replace(
            self._given,
            options=options,
            short_name=changes.get("short_name") or self.short_name,
        )
        make = type(self)
        if changes.get("plugin_config") is not None:
            make = task_class(options.plugin_config, self.interface, Task)
        return make(definition, parent_env=self.parent_env, base=self._base or self)

    # ------------------------------------------------------------------------------ identity

    @property
    def address(self) -> TaskAddress:
        """Where a worker finds the task; without module it must travel by value."""
        if self._address is None:
            self._address = reference.address_of(self._base or self)
        return self._address

    def fix_code(self) -> None:
        """Read the source now, while the file is what was loaded: it may be edited during a run."""
        fingerprint.fix_source(self.func)

    @property
    def code(self) -> Code:
        """Digests of the code that the function can reach."""
        if self._base is not None:
            return self._base.code
        if self._code is None:
            self._code = fingerprint.code_of(self.func)
        return self._code

    def forget_code(self) -> None:
        """Read the code anew when it is asked for: before another run it may be other code."""
        if self._came_by_value:
            return
        if self._base is None:
            self._code = None
        self._identities = self._cache_version = None

    def _current_code(self) -> Code:
        code = self.code
        live_code.remember(self, is_live=code.is_live)
        return code

    @property
    def identity(self) -> str:
        """Digest of name, interface and code, that of the tasks it calls included."""
        return (self._identities or self._identify())[0]

    @property
    def own_identity(self) -> str:
        """Digest of name, interface and code, without that of the tasks it calls."""
        return (self._identities or self._identify())[1]

    def _identify(self) -> tuple[str, str]:
        interface, code = digest_json(self.interface.signature()), self._current_code()
        said = self.cache.said_version
        self._identities = (
            fingerprint.task_identity(self.name, interface, code.digest, said=said),
            fingerprint.task_identity(self.name, interface, code.own),
        )
        return self._identities

    @property
    def cache_version(self) -> str:
        """The version under which results are cached; empty where caching is off."""
        if self._cache_version is None:
            self._cache_version = fingerprint.cache_version(
                self.cache, self.func, image=self.image, code=self._current_code().digest
            )
        return self._cache_version

    # ------------------------------------------------------------------- pickling and copying

    def __reduce__(self) -> tuple[Any, ...]:
        address = self.address
        if reference.is_importable(address):
            if self._base is None:
                return reference.load, (address,)
            return _overridden, (address, self.short_name, self._given.options)
        if not reference.is_dumping_by_value():
            return reference.load_by_value, (reference.dump_by_value(self),)
        state = (self._definition, self._given, self.code, self.cache_version)
        return _blank, (type(self),), state

    def __setstate__(self, state: tuple[Definition, Definition, Code, str]) -> None:
        definition, self._given, code, cache_version = state
        Task.__init__(self, definition)
        self._code = replace(code, is_live=False)
        self._came_by_value = True
        self._cache_version = cache_version

    def __copy__(self) -> Task[P, R]:
        return self._copied()

    def __deepcopy__(self, _: dict[int, Any]) -> Task[P, R]:
        return self._copied()

    def _copied(self) -> Task[P, R]:
        twin: Task[P, R] = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._base = self._base or self
        if (self._identities or self._cache_version) is not None:
            live_code.remember(twin, is_live=self.code.is_live)
        return twin

    def __repr__(self) -> str:
        return f"<{'async ' if self.is_async else ''}task {self.name}>"

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.func)

    def adopt(self, environment: Any, name: str) -> None:
        """Make this task, which has no environment yet, one of `environment`'s."""
        self.parent_env = weakref.ref(environment)
        self._definition = replace(self._definition, environment=name)
        self._given = replace(self._given, environment=name)


def _blank(cls: type[Task[Any, Any]]) -> Task[Any, Any]:
    """An empty task, filled by `__setstate__`: it may then refer to itself."""
    return object.__new__(cls)


def _overridden(address: TaskAddress, short_name: str, options: TaskOptions) -> Task[Any, Any]:
    """The importable task of that address with the options it was overridden with."""
    base = cast(Task[Any, Any], reference.load(address))
    definition = replace(base._given, short_name=short_name, options=options)
    make = type(base)
    if options.plugin_config is not None:
        make = task_class(options.plugin_config, base.interface, Task)
    return make(definition, parent_env=base.parent_env, base=base)


def _loop_runs_here() -> bool:
    """True when this thread is inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


TaskTemplate = Task
"""Flyte's name of the class of all tasks."""
AsyncFunctionTaskTemplate = Task
"""Flyte's name of the class of tasks made from functions."""
