"""`map`: one task over many inputs, results in the order of the inputs.

Two forms with one rule. At most `concurrency` calls run at once (0: all), and at most twice as many
are begun but not handed out yet: a slow first item neither stops the others at once, nor lets the
results of an endless input pile up. Inputs are taken as calls are begun.

The blocking form runs its calls on a loop thread of its own, so it works in sync tasks, and in
async tasks too (whose loop it blocks); inputs are taken in the caller's thread. Outside of a task
the items run one after another, in this process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flyte_ray._syncify import LoopThread
from flyte_ray.author.scope import group
from flyte_ray.author.task import Task
from flyte_ray.core.context import current
from flyte_ray.errors import TraceDoesNotAllowNestedTasksError

_BEGUN_PER_RUNNING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One call of `map`, checked."""

    task: Task[..., Any]
    call: Callable[..., Coroutine[Any, Any, Any]]
    """The awaitable form of the task, with a partial's arguments filled in."""
    direct: Callable[..., Any]
    """The same as a plain call, for use outside of a task."""
    rows: Iterator[tuple[Any, ...]]
    group_name: str
    concurrency: int
    return_exceptions: bool

    @property
    def most_running(self) -> float:
        return self.concurrency or float("inf")

    @property
    def most_begun(self) -> float:
        return self.most_running * _BEGUN_PER_RUNNING


class TaskMap:
    """`flyte_ray.map`: call a task for every input.

    Failures are results too, unless `return_exceptions=False`: then the first failing position
    raises, and what is still running is cancelled. Leaving the loop early cancels the rest as well.

    Example:
        >>> import flyte_ray
        >>> env = flyte_ray.TaskEnvironment(name="squares")
        >>> @env.task
        ... def square(x: int) -> int:
        ...     return x * x
        >>> list(flyte_ray.map(square, [1, 2, 3]))
        [1, 4, 9]
    """

    def __call__(
        self,
        func: Task[..., Any] | functools.partial[Any],
        *iterables: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Iterator[Any]:
        """Iterate over the results, in input order.

        Args:
            func: a task, or a `functools.partial` of one that leaves the mapped parameters open.
            *iterables: zipped, the shortest ends it.
            group_name: shown behind the task's name.
            concurrency: most calls at once; 0 for all.
            return_exceptions: yield failures instead of raising the first.

        Raises:
            TypeError: not a task, or its parameters do not fit.
            ValueError: a negative concurrency.
        """
        plan = _plan(func, iterables, group_name, concurrency, return_exceptions)
        return _blocking(plan) if current() is not None else _one_by_one(plan)

    def aio(
        self,
        func: Task[..., Any] | functools.partial[Any],
        *iterables: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncIterator[Any]:
        """The same as an async iterator, for async tasks: `async for result in map.aio(...)`."""
        plan = _plan(func, iterables, group_name, concurrency, return_exceptions)
        return _async(plan) if current() is not None else _one_by_one_async(plan)


map = TaskMap()


# -------------------------------------------------------------------------------- inside a task


async def _async(plan: _Plan) -> AsyncIterator[Any]:
    begun: deque[asyncio.Task[Any]] = deque()
    more = True
    try:
        while True:
            while more and _has_room(plan, begun):
                more = _begin(plan, begun, asyncio.create_task)
            if not begun:
                return
            if not begun[0].done():
                await asyncio.wait(
                    _worth_waiting_for(plan, begun, more), return_when="FIRST_COMPLETED"
                )
                continue
            yield _outcome(plan, begun.popleft())
    finally:
        for each in begun:
            each.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


def _blocking(plan: _Plan) -> Iterator[Any]:
    begun: deque[Future[Any]] = deque()
    more = True
    with LoopThread(
        "flyte_ray-map"
    ) as loop:  # on leaving, cancels what still runs and waits for it
        while True:
            while more and _has_room(plan, begun):
                more = _begin(plan, begun, loop.submit)
            if not begun:
                return
            if not begun[0].done():
                concurrent.futures.wait(
                    _worth_waiting_for(plan, begun, more), return_when="FIRST_COMPLETED"
                )
                continue
            yield _outcome(plan, begun.popleft())


def _begin(plan: _Plan, begun: deque[Any], start: Callable[..., Any]) -> bool:
    """Start the next call; False when there are no more inputs."""
    for row in plan.rows:
        with group(plan.group_name):
            begun.append(start(plan.call(*row)))
        return True
    return False


def _has_room(plan: _Plan, begun: deque[Any]) -> bool:
    if not plan.concurrency:
        return True
    return len(begun) < plan.most_begun and len(_running(begun)) < plan.most_running


def _worth_waiting_for(plan: _Plan, begun: deque[Any], more: bool) -> list[Any]:
    """The head; any other only if its end makes room for the next call."""
    if plan.concurrency and more and len(begun) < plan.most_begun:
        return _running(begun)
    return [begun[0]]


def _running(begun: deque[Any]) -> list[Any]:
    return [each for each in begun if not each.done()]


def _outcome(plan: _Plan, done: asyncio.Task[Any] | Future[Any]) -> Any:
    if plan.return_exceptions and not done.cancelled():
        error = done.exception()
        if isinstance(error, Exception):
            return error
    return done.result()


# ------------------------------------------------------------------------------ outside a task


def _one_by_one(plan: _Plan) -> Iterator[Any]:
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread("flyte_ray-map")) if plan.task.is_async else None
        for row in plan.rows:
            try:
                result = plan.direct(*row)
                if loop is not None:
                    result = loop.submit(result).result()
            except Exception as error:
                if not plan.return_exceptions:
                    raise
                result = error
            yield result


async def _one_by_one_async(plan: _Plan) -> AsyncIterator[Any]:
    for row in plan.rows:
        try:
            result = await plan.call(*row)
        except Exception as error:
            if not plan.return_exceptions:
                raise
            result = error
        yield result


# ------------------------------------------------------------------------------------- checking


def _plan(
    func: Task[..., Any] | functools.partial[Any],
    iterables: tuple[Iterable[Any], ...],
    group_name: str | None,
    concurrency: int,
    return_exceptions: bool,
) -> _Plan:
    task: Any = func.func if isinstance(func, functools.partial) else func
    if not isinstance(task, Task):
        raise TypeError(f"map needs a task or a functools.partial of one, not {func!r}")
    if concurrency < 0:
        raise ValueError(f"map: concurrency must be a whole number >= 0, not {concurrency!r}")
    here = current()
    if here is not None and here.in_trace:
        raise TraceDoesNotAllowNestedTasksError(
            f"map over task {task.name!r} was called inside a traced function; call it from the "
            f"task itself"
        )
    args, kwargs = (func.args, func.keywords) if isinstance(func, functools.partial) else ((), {})
    if iterables:
        _check_parameters(task, len(args), set(kwargs), len(iterables))
    return _Plan(
        task=task,
        call=functools.partial(task.aio, *args, **kwargs),
        direct=functools.partial(task, *args, **kwargs),
        rows=zip(*iterables, strict=False),
        group_name=f"{task.name}_{group_name or 'map'}",
        concurrency=concurrency,
        return_exceptions=return_exceptions,
    )


def _check_parameters(task: Task[..., Any], bound: int, named: set[str], mapped: int) -> None:
    """Refuse at once what would fail for every item.

    Raises:
        TypeError: the mapped values do not fill exactly what the partial left open.
    """
    interface = task.interface
    places = [name for name in interface.inputs if name not in interface.keyword_only]
    filled = places[bound : bound + mapped]
    if len(filled) < mapped:
        raise TypeError(
            f"map: task {task.name!r} takes {len(places)} positional parameters, but "
            f"{bound + mapped} would be given"
        )
    for name in filled:
        if name in named:
            raise TypeError(
                f"map: parameter {name!r} of task {task.name!r} is bound by the partial and would "
                f"be filled by the mapped values too; bind the parameters behind it by keyword"
            )
    for name in sorted(named - set(interface.inputs)):
        raise TypeError(f"map: task {task.name!r} has no parameter {name!r}")
    known = {*places[:bound], *filled, *named}
    missing = [name for name in interface.required_inputs() if name not in known]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        raise TypeError(
            f"map: task {task.name!r} misses a value for {names}; bind it "
            f"with functools.partial, or hand in one more iterable"
        )
