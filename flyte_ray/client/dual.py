"""A blocking function with an awaitable twin: `f(…)` and `await f.aio(…)`.

Where the answer is a series, `async for each in f.aio(…)` goes through it.

For work that blocks by nature (starting a cluster, waiting for a run). The twin runs it on a
thread of its own, never in a bounded pool: a hundred runs awaited together would fill one.
`_syncify` is for the other direction, async code with a blocking face.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


async def on_a_thread(func: Callable[[], R]) -> R:
    """Run a blocking function beside the loop, with the caller's context variables."""
    done: Future[R] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(func)
        except BaseException as error:  # noqa: BLE001  handed to who awaits
            with suppress(InvalidStateError):  # who awaited has gone: `asyncio.wait_for`
                done.set_exception(error)
        else:
            with suppress(InvalidStateError):
                done.set_result(result)

    threading.Thread(target=work, daemon=True, name="flyte_ray-blocking").start()
    return await asyncio.wrap_future(done)


class Awaited(Coroutine[Any, Any, R]):
    """What `.aio(…)` gives: a coroutine, which can also be iterated where its result can."""

    def __init__(self, func: Callable[[], R]) -> None:
        self._coroutine = on_a_thread(func)

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """As of any coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """As of any coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As of any coroutine."""
        self._coroutine.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        found: Any = await self._coroutine
        for each in await on_a_thread(
            lambda: list(found)
        ):  # a series may read the store as it goes
            yield each


class Dual(Generic[P, R]):
    """What `blocking` makes of a function or method."""

    def __init__(self, func: Callable[P, R]) -> None:
        self._func = func
        functools.update_wrapper(self, func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._func(*args, **kwargs)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Awaited[R]:
        """The same, awaitable."""
        return Awaited(lambda: self._func(*args, **kwargs))

    @overload
    def __get__(self, instance: None, owner: type) -> Dual[P, R]: ...
    @overload
    def __get__(
        self: Dual[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> Dual[Q, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return Dual(functools.partial(self._func, instance))


def blocking(func: Callable[P, R]) -> Dual[P, R]:
    """Give a blocking function an `.aio` twin."""
    return Dual(func)


class ClassDual(Generic[S, P, R]):
    """What `classwide` makes of a method: a class method with an awaitable twin."""

    def __init__(self, func: Callable[Concatenate[type[S], P], R]) -> None:
        self._func = func
        self.__doc__ = func.__doc__

    def __get__(self, instance: S | None, owner: type[S]) -> Dual[P, R]:
        return Dual(functools.partial(self._func, owner))


def classwide(func: Callable[Concatenate[type[S], P], R]) -> ClassDual[S, P, R]:
    """Make a blocking function of a class a class method with an `.aio` twin."""
    return ClassDual(func)
