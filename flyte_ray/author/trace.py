"""`@trace`: a step inside a task that is recorded, and answered from the record when replayed.

The step runs in the task's own process. Found: the recorded value is returned without running.
Else the function runs under the step's own name, and its value or error is in the record before
the caller goes on. A generator's record is the complete list of its items: one that is left early
or fails midway is not recorded as done.

Errors pass through as they are. Outside of a task the decorator is transparent.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing, nullcontext
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, cast, get_args

from flyte_ray.author import live_code
from flyte_ray.author.task import Task
from flyte_ray.core.context import ActionContext, current
from flyte_ray.core.digest import digest_json
from flyte_ray.core.fingerprint import code_of, fix_source, task_identity
from flyte_ray.core.interface import Interface
from flyte_ray.core.ports import Trace

P = ParamSpec("P")
R = TypeVar("R")


class _Step:
    """A traced function: its name, interface and identity, and how a call is opened."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self.name = func.__name__
        self.interface = _interface_of(func)
        # Now, while the file is what was loaded: it may be edited during a run.
        fix_source(func)
        self._identity: str | None = None
        self._came_by_value = False
        """True where the code came along and cannot be read anew here."""

    @property
    def identity(self) -> str:
        """Digest of name, interface and reachable code; helpers may stand below the step."""
        if self._identity is None:
            interface, code = digest_json(self.interface.signature()), code_of(self.func)
            self._identity = task_identity(self.name, interface, code.digest)
            live_code.remember(self, is_live=code.is_live)
        return self._identity

    def forget_code(self) -> None:
        """Read the code anew when it is asked for: before another run it may be other code."""
        if not self._came_by_value:
            self._identity = None

    def __getstate__(self) -> dict[str, Any]:
        """By value it goes where its module may not be: what it is, is said by who sends it."""
        return {**self.__dict__, "_identity": self.identity, "_came_by_value": True}

    async def open(self, here: ActionContext, args: Any, kwargs: Any) -> Trace:
        inputs = self.interface.bind(*args, **kwargs)
        return await here.controller.open_trace(self.name, self.identity, self.interface, inputs)

    def open_blocking(self, here: ActionContext, args: Any, kwargs: Any) -> Trace:
        inputs = self.interface.bind(*args, **kwargs)
        return here.controller.open_trace_blocking(self.name, self.identity, self.interface, inputs)


def trace(func: Callable[P, R]) -> Callable[P, R]:
    """Record the calls of a helper function inside tasks, and replay them after a failure.

    For functions and generators, plain or async.

    Raises:
        TypeError: not a function, or a task.
        ValueError: it takes `*args` or `**kwargs`.

    Example:
        >>> @trace
        ... def ask(question: str) -> str:
        ...     return question.upper()
        >>> ask("why?")
        'WHY?'
    """
    if isinstance(func, Task):
        raise TypeError(f"{func.name!r} is a task, which is recorded already; trace a function")
    if not inspect.isroutine(func):
        raise TypeError(f"trace needs a function, not {func!r}")
    step = _Step(func)
    if inspect.isasyncgenfunction(func):
        traced: Any = _async_generator(step)
    elif inspect.isgeneratorfunction(func):
        traced = _generator(step)
    elif inspect.iscoroutinefunction(func):
        traced = _coroutine(step)
    else:
        traced = _function(step)
    return cast(Callable[P, R], functools.wraps(func)(traced))


def _interface_of(func: Callable[..., Any]) -> Interface:
    """The function's interface; a generator's output is the list of its items."""
    interface = Interface.from_callable(func)
    if inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
        arguments = get_args(interface.returns)
        items: Any = list[arguments[0]] if arguments else list[Any]  # type: ignore[valid-type]
        return replace(interface, outputs={"o0": items}, returns=items)
    if inspect.signature(func).return_annotation is inspect.Signature.empty:
        # Without an annotation any value is kept, None too: it must replay like the others.
        return replace(interface, outputs={"o0": Any}, returns=Any)
    return interface


def _coroutine(step: _Step) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        here = current()
        if here is None:
            return await step.func(*args, **kwargs)
        record = await step.open(here, args, kwargs)
        if record.found:
            return record.result()
        try:
            with record.context():
                value = await step.func(*args, **kwargs)
        except Exception as error:
            await record.fail(error)
            raise
        return await record.succeed(value)

    return traced


def _function(step: _Step) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        here = current()
        if here is None:
            return step.func(*args, **kwargs)
        record = step.open_blocking(here, args, kwargs)
        if record.found:
            return record.result()
        try:
            with record.context():
                value = step.func(*args, **kwargs)
        except Exception as error:
            record.fail_blocking(error)
            raise
        return record.succeed_blocking(value)

    return traced


# The context is entered for each step of a generator and left before each `yield`: the consumer's
# code in between is not part of the trace, and a generator shares its context with the consumer.


def _async_generator(step: _Step) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        here = current()
        record = await step.open(here, args, kwargs) if here is not None else None
        if record is not None and record.found:
            for item in record.result():
                yield item
            return
        items = []
        async with aclosing(step.func(*args, **kwargs)) as source:
            while True:
                done, item = await _next_async(source, record)
                if done:
                    break
                if record is not None:
                    items.append(item)
                yield item
        if record is not None:
            await record.succeed(items)

    return traced


async def _next_async(source: AsyncGenerator[Any, None], record: Trace | None) -> tuple[bool, Any]:
    try:
        with record.context() if record is not None else nullcontext():
            return False, await anext(source)
    except StopAsyncIteration:
        return True, None
    except Exception as error:
        if record is not None:
            await record.fail(error)
        raise


def _generator(step: _Step) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        here = current()
        record = step.open_blocking(here, args, kwargs) if here is not None else None
        if record is not None and record.found:
            yield from record.result()
            return
        items = []
        with closing(step.func(*args, **kwargs)) as source:
            while True:
                done, item = _next(source, record)
                if done:
                    break
                if record is not None:
                    items.append(item)
                yield item
        if record is not None:
            record.succeed_blocking(items)

    return traced


def _next(source: Generator[Any, None, None], record: Trace | None) -> tuple[bool, Any]:
    try:
        with record.context() if record is not None else nullcontext():
            return False, next(source)
    except StopIteration:
        return True, None
    except Exception as error:
        if record is not None:
            record.fail_blocking(error)
        raise
