"""How the scripts report: one line per case, comparable between the two packages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import flyte
import flyte.errors

MARK = "@case"


def say(case: str, value: object) -> None:
    """State what came of a case."""
    print(f"{MARK}\t{case}\t{value!r}", flush=True)


def told(error: BaseException) -> str:
    """An error by what scripts branch on: Flyte's family and code, else Python's class."""
    if isinstance(error, flyte.errors.BaseRuntimeError):
        for family in ("TaskTimeoutError", "RuntimeUserError", "RuntimeSystemError"):
            if isinstance(error, getattr(flyte.errors, family)):
                return f"{family}[{error.code}]"
    python = next(
        c for c in type(error).__mro__ if c.__module__ in ("builtins", "asyncio.exceptions")
    )
    return python.__name__


def attempt(case: str, call: Callable[[], Any]) -> None:
    """State what a call gives or raises."""
    try:
        say(case, call())
    except BaseException as error:
        say(case, told(error))


async def attempt_async(call: Callable[[], Any]) -> Any:
    """What awaiting gives or raises, for use inside tasks."""
    try:
        found = call()
        return await found if asyncio.iscoroutine(found) or hasattr(found, "__await__") else found
    except BaseException as error:
        return told(error)


def run(task: Any, *args: Any, **kwargs: Any) -> Any:
    """The outputs of a run in this process."""
    return flyte.with_runcontext("local").run(task, *args, **kwargs).outputs()
