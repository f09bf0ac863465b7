"""Tasks that fail, in every way an author can think of."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import flyte_ray as flyte
from flyte_ray import errors
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_failing")
QUICKLY = flyte.Backoff(base=timedelta(milliseconds=10))


def quick(count: int) -> flyte.RetryStrategy:
    """Retries without a pause worth mentioning."""
    return flyte.RetryStrategy(count, backoff=QUICKLY)


# ---- retries


@env.task(retries=quick(2))
async def third_time_lucky(folder: str) -> list[int]:
    made = leave(folder, "lucky")
    number = flyte.ctx().attempt_number
    print(f"attempt {number} speaks")
    if made < 3:
        raise ValueError(f"attempt {number} failed")
    return [made, number]


@env.task(retries=quick(1))
def never_lucky(folder: str) -> None:
    raise KeyError(f"no {leave(folder, 'never')}")


@env.task(retries=quick(3))
async def gives_up_at_once(folder: str) -> None:
    leave(folder, "final")
    raise errors.NonRecoverableError("hopeless")


class Hopeless(errors.NonRecoverableError):
    """An author's own final error."""


@env.task(retries=quick(3))
async def gives_up_in_its_own_words(folder: str) -> None:
    leave(folder, "own")
    raise Hopeless("mine")


@env.task
async def sees_failures(folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, call, kind in (
        ("never", never_lucky.aio, LookupError),
        ("final", gives_up_at_once, errors.NonRecoverableError),
        ("own", gives_up_in_its_own_words, Hopeless),
    ):
        try:
            await call(folder)
        except kind as error:
            found[name] = [type(error).__name__, error.code, str(error)]
    return found


@env.task(retries=quick(2))
async def retries_over_children(folder: str) -> list[int]:
    good = await once(folder, "good")
    if leave(folder, "parent") < 2:
        await flaky(folder)
        raise AssertionError("flaky did not fail")
    return [good, await flaky(folder)]


@env.task
async def once(folder: str, name: str) -> int:
    return leave(folder, name)


@env.task
async def flaky(folder: str) -> int:
    made = leave(folder, "flaky")
    if made == 1:
        raise RuntimeError("first time")
    return made


# ---- exceptions that do not want to travel


class NeedsTwo(Exception):
    def __init__(self, first: str, second: int) -> None:
        super().__init__(f"{first}-{second}")
        self.first, self.second = first, second


class KeywordOnly(ValueError):
    def __init__(self, *, where: str) -> None:
        super().__init__(f"at {where}")
        self.where = where


class HoldsALock(OSError):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class BadReduce(TypeError):
    def __reduce__(self) -> Any:
        raise RuntimeError("no pickles")


class BadStr(ArithmeticError):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class LiesWhenLoaded(IndexError):
    def __reduce__(self) -> Any:
        return (sys.exit, (3,))


def _local() -> BaseException:
    class Local(LookupError):
        pass

    return Local("inner")


_MAKERS: dict[str, Callable[[], BaseException]] = {
    "NeedsTwo": lambda: NeedsTwo("a", 2),
    "KeywordOnly": lambda: KeywordOnly(where="home"),
    "HoldsALock": HoldsALock,
    "BadReduce": lambda: BadReduce("stay"),
    "BadStr": lambda: BadStr("mute"),
    "LiesWhenLoaded": lambda: LiesWhenLoaded("tempting"),
    "Local": _local,
    "SystemExit": lambda: SystemExit(7),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("typed"),
    "GeneratorExit": lambda: GeneratorExit("gone"),
    "StopIteration": lambda: StopIteration("over"),
    "StopAsyncIteration": lambda: StopAsyncIteration("over"),
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    "Bare": lambda: BaseException("bare"),
}


@env.task(retries=quick(1))
async def raises_ours(folder: str, name: str) -> None:
    leave(folder, name)
    match name:
        case "OOMError":
            raise errors.OOMError("OOMError", "too large")
        case "CustomError":
            raise errors.CustomError("MyCode", "mine")
        case "MemoryError":
            raise MemoryError("python's own")


@env.task
async def meets_ours(folder: str, names: list[str]) -> list[list[str]]:
    found = []
    for name in names:
        try:
            await raises_ours(folder, name)
        except errors.RuntimeUserError as error:
            is_oom = isinstance(error, errors.OOMError)
            found.append([type(error).__name__, error.code, str(error), str(is_oom)])
    return found


@env.task
async def raises(name: str) -> None:
    raise _MAKERS[name]()


@env.task
def raises_plainly(name: str) -> None:
    raise _MAKERS[name]()


@env.task
async def meets(names: list[str]) -> dict[str, list[str]]:
    """What a parent sees of each: what it can be caught as, its code and words."""
    found = {}
    for task in (raises.aio, raises_plainly.aio):
        for name in names:
            try:
                await task(name)
            except Exception as error:
                kinds = [kind.__name__ for kind in type(error).__mro__[1:]]
                flyte_kind = isinstance(error, errors.RuntimeUserError)
                code = getattr(error, "code", "")
                key = f"{name}/{'async' if task == raises.aio else 'sync'}"
                found[key] = [code, str(error), str(flyte_kind), " ".join(kinds)]
    return found


@env.task
async def catches() -> list[str]:
    found = []
    try:
        await raises("KeywordOnly")
    except ValueError as error:
        found.append(f"{error} {error.code} {error.where} {type(error.__cause__).__name__}")
    try:
        await raises("KeywordOnly")
    except errors.RuntimeUserError as error:
        found.append(f"{error} {error.code} {error.kind}")
    try:
        await raises("NeedsTwo")
    except NeedsTwo as error:
        found.append(f"{error.first} {error.second}")
    try:
        await passes_on("KeywordOnly")
    except KeywordOnly as error:
        found.append(f"{error.where} through a parent")
    return found


@env.task
async def passes_on(name: str) -> None:
    await raises(name)


# ---- ends that are no exceptions


@env.task(retries=quick(1))
def exits(folder: str) -> None:
    leave(folder, "exit")
    sys.exit("enough")


@env.task(retries=quick(3))
async def returns_a_lock(folder: str) -> Any:
    leave(folder, "lock")
    return threading.Lock()


class Poison:
    """Pickles, and does not come back."""

    def __reduce__(self) -> Any:
        return (int, ("poison",))


@env.task
async def returns_poison() -> Any:
    return Poison()


@env.task
async def takes_poison() -> str:
    try:
        await returns_poison()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "swallowed"


@env.task(retries=quick(1))
async def cancels_itself(folder: str) -> None:
    print(f"cancelling {leave(folder, 'cancel')}")
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(30)


@env.task
async def takes_a_lock(lock: Any) -> None:
    return None


@env.task
async def hands_a_lock_on() -> str:
    try:
        await takes_a_lock(threading.Lock())
    except TypeError as error:
        return str(error)
    return "taken"
