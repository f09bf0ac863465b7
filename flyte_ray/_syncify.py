"""The one bridge between blocking callers and our async code: a background loop, `syncify`, loops.

`background_loop()` is a daemon thread's event loop, one per process, for OUR internals only. Author
code never runs on it: a task body that blocked there would stop every blocking call of the process
(Flyte's deadlock errors come from exactly that). A body that needs a loop of its own gets a
`LoopThread`.

The rule to know: a blocking call may be made from any thread, a thread with a running loop
included (it then blocks that loop), but not from the background loop itself.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
S = TypeVar("S")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's loop for our own coroutines; started by the first call, never closed."""
    global _loop, _thread
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(
                target=_loop.run_forever, name="flyte_ray-background", daemon=True
            )
            _thread.start()
        return _loop


def _forget_after_fork() -> None:
    """A forked child has the loop object but not its thread: begin anew."""
    global _lock, _loop, _thread
    _lock = threading.Lock()
    _loop = None
    _thread = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and block this thread until it is done.

    The caller's context variables are seen by the coroutine. An interrupt while waiting cancels it.

    Raises:
        AssertionError: called on the background loop itself, where waiting would never end.
    """
    loop = background_loop()
    if threading.current_thread() is _thread:
        coroutine.close()
        raise AssertionError(
            "Deadlock detected: a blocking call was made on flyte_ray's own background loop; "
            "await the `.aio(...)` form there"
        )
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


class SyncFunction(Generic[P, T]):
    """An async function that is called without `await`; `.aio(...)` is the awaitable form."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, T]]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(self._function(*args, **kwargs))

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """The coroutine itself; it runs on the caller's loop."""
        return self._function(*args, **kwargs)

    def __get__(
        self: SyncFunction[Concatenate[S, Q], T], instance: S | None, owner: type | None = None
    ) -> SyncFunction[Q, T]:
        if instance is None:
            return self  # type: ignore[return-value]  # the plain function, as Python's own
        return SyncFunction(functools.partial(self._function, instance))


class SyncGenerator(Generic[P, T]):
    """An async generator that is iterated without `async`; `.aio(...)` is the async iterator."""

    def __init__(self, function: Callable[P, AsyncIterator[T]]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _iterate(self._function(*args, **kwargs))

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """The async iterator itself; it runs on the caller's loop."""
        return self._function(*args, **kwargs)

    def __get__(
        self: SyncGenerator[Concatenate[S, Q], T], instance: S | None, owner: type | None = None
    ) -> SyncGenerator[Q, T]:
        if instance is None:
            return self  # type: ignore[return-value]  # the plain function, as Python's own
        return SyncGenerator(functools.partial(self._function, instance))


def _iterate(source: AsyncIterator[T]) -> Iterator[T]:
    """The items of an async iterator; leaving early closes it."""

    async def step() -> T:
        return await anext(source)

    try:
        while True:
            try:
                item = run_sync(step())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            run_sync(close())


class _SyncClassMethod:
    """`@syncify` above `@classmethod`: binds the class, then behaves as a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._bridge = _bridge(function)

    def __get__(self, instance: object, owner: type) -> Any:
        return self._bridge.__get__(owner, owner)


def _bridge(function: Callable[..., Any]) -> Any:
    if inspect.isasyncgenfunction(function):
        return SyncGenerator(function)
    if inspect.iscoroutinefunction(function):
        return SyncFunction(function)
    raise TypeError(f"syncify needs an async function or an async generator, not {function!r}")


class Syncify:
    """A decorator that gives async functions, generators and methods a blocking form.

    Example:
        >>> @syncify
        ... async def double(x: int) -> int:
        ...     return 2 * x
        >>> double(4)
        8
    """

    def __init__(self, name: str = "flyte_ray") -> None:
        self.name = name

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]]) -> SyncFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, AsyncIterator[T]]) -> SyncGenerator[P, T]: ...
    @overload
    def __call__(self, function: classmethod[Any, Any, Any]) -> Any: ...
    def __call__(self, function: Any) -> Any:
        """The blocking form of `function`.

        Raises:
            TypeError: the function is not async.
        """
        if isinstance(function, classmethod):
            return _SyncClassMethod(function.__func__)
        if isinstance(function, staticmethod):
            return staticmethod(_bridge(function.__func__))
        return _bridge(function)


syncify = Syncify()


class LoopThread:
    """A fresh event loop in a thread of its own, for as long as the `with` block lasts.

    Leaving the block cancels what is still running, waits for it, and closes the loop; leaving an
    `async with` waits without blocking the caller's loop. `start` and `close` do the same by hand.

    Example:
        >>> with LoopThread() as loop:
        ...     loop.submit(asyncio.sleep(0, "done")).result()
        'done'
    """

    def __init__(self, name: str = "flyte_ray-loop") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> LoopThread:
        """Begin; once."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Cancel what still runs, wait for it, and end the thread.

        On the loop's own thread, which cannot wait for itself, this happens beside it, soon.
        """
        if threading.current_thread() is self._thread:
            threading.Thread(target=self.close, name="flyte_ray-closing", daemon=True).start()
            return
        asyncio.run_coroutine_threadsafe(self._cancel_leftovers(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> LoopThread:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> LoopThread:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        closed: Future[None] = Future()
        closed.set_running_or_notify_cancel()  # whoever stops waiting does not stop it

        def close() -> None:
            try:
                self.close()
            except BaseException as error:  # noqa: BLE001  a thread's own border: it is raised there
                closed.set_exception(error)
            else:
                closed.set_result(None)

        # Not `to_thread`: what is left here may wait for others that are to close, on a thread too,
        # and a pool has only so many.
        threading.Thread(target=close, name="flyte_ray-closing", daemon=True).start()
        await asyncio.wrap_future(closed)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine with the caller's context variables; cancelling the future ends it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call_soon(self, work: Callable[..., object], *args: object) -> None:
        """Have a plain function called on the loop, from any thread."""
        self._loop.call_soon_threadsafe(work, *args)

    def is_here(self) -> bool:
        """True on the loop's own thread."""
        return threading.current_thread() is self._thread

    async def _cancel_leftovers(self) -> None:
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
