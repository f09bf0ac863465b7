"""Tasks that call tasks, in every way the face allows."""

from __future__ import annotations

import asyncio
import os
from typing import Any, NamedTuple

import flyte_ray as flyte
from flyte_ray.errors import RuntimeUserError, SyncTaskCallInAsyncContextError
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_calls", env_vars={"FROM_ENV": "env"})
other = env.clone_with(name="contract_calls_other", env_vars={"FROM_ENV": "clone"})
env.add_dependency(other)


@env.task
async def double(x: int) -> int:
    return 2 * x


@env.task
def triple(x: int) -> int:
    return 3 * x


# ---- the four combinations, two levels deep


@env.task
async def async_over_both(x: int) -> list[int]:
    return [await double(x), await double.aio(x), await triple.aio(x)]


@env.task
def sync_over_both(x: int) -> list[int]:
    async def inner() -> list[int]:
        return await asyncio.gather(double(x), triple.aio(x))

    return [triple(x), asyncio.run(double(x)), *asyncio.run(inner())]


@env.task
async def nested(x: int) -> list[list[int]]:
    return [*await asyncio.gather(async_over_both(x), sync_over_both.aio(x)), _sync_call_refused(x)]


def _sync_call_refused(x: int) -> list[int]:
    try:
        return [triple(x)]
    except SyncTaskCallInAsyncContextError:
        return []


@env.task
def nested_sync(x: int) -> list[list[int]]:
    return [sync_over_both(x), asyncio.run(async_over_both(x))]


# ---- asyncio's own tools


@env.task
async def with_asyncio(folder: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    found["gather"] = await asyncio.gather(*(double(i) for i in range(4)))
    found["completed"] = sorted(
        [await each for each in asyncio.as_completed([double(i) for i in range(4)])]
    )
    found["in_time"] = [await asyncio.wait_for(double(5), timeout=60)]
    async with asyncio.TaskGroup() as group:
        members = [group.create_task(double(i)) for i in range(3)]
    found["group"] = [each.result() for each in members]
    done, _ = await asyncio.wait([asyncio.ensure_future(double(7))])
    found["wait"] = [each.result() for each in done]
    never = marked(folder, "never")
    never.close()
    return found


@env.task
async def marked(folder: str, name: str) -> int:
    return leave(folder, name)


# ---- what goes in and comes out


@env.task
async def defaults(a: int, b: int = 2, *, c: str = "c", d: float | None = None) -> str:
    return f"{a} {b} {c} {d}"


@env.task
async def calls_defaults() -> list[str]:
    return [await defaults(1), await defaults(1, b=3, c="x"), await defaults(a=1, d=2)]


@env.task
async def spoils(items: list[int]) -> list[int]:
    items.append(99)
    return items


@env.task
async def keeps_its_own() -> list[list[int]]:
    mine = [1]
    return [mine, await spoils(mine), mine]


class Pair(NamedTuple):
    left: int
    right: str


@env.task
async def pair() -> Pair:
    return Pair(1, "r")


@env.task
async def two() -> tuple[int, str]:
    return 1, "two"


@env.task
async def nothing() -> None:
    return None


@env.task
async def takes_outputs() -> list[Any]:
    a = await pair()
    b, c = await two()
    return [a.left, a.right, type(a).__name__, b, c, await nothing()]


@env.task
async def wrong_result() -> int:
    return "seven"  # type: ignore[return-value]


@env.task
async def undeclared_result():  # type: ignore[no-untyped-def]
    return 7


@env.task
async def wrong_arguments() -> dict[str, str]:
    found = {}
    for name, call in {
        "type": lambda: double("three"),  # type: ignore[arg-type]
        "unknown": lambda: double(y=3),  # type: ignore[call-arg]
        "missing": lambda: double(),  # type: ignore[call-arg]
        "many": lambda: double(1, 2),  # type: ignore[call-arg]
    }.items():
        try:
            await call()
        except TypeError as error:
            found[name] = str(error)
    return found


@env.task
async def lets_the_result_error_through() -> str:
    try:
        await wrong_result()
    except RuntimeUserError as error:
        return error.code
    return "no error"


# ---- overriding, going round, tasks as values


@env.task
async def variable(name: str) -> str:
    return os.environ.get(name, "unset")


@other.task
async def variable_of_clone(name: str) -> str:
    return os.environ.get(name, "unset")


@env.task
async def variables() -> list[str]:
    return [
        await variable("FROM_ENV"),
        await variable_of_clone("FROM_ENV"),
        await variable.override(env_vars={"FROM_ENV": "override"})("FROM_ENV"),
        await variable("FROM_RUN"),
    ]


@env.task
async def goes_round(x: int) -> list[int]:
    return [await double.forward(x), triple.forward(x), await double.func(x)]


@env.task
async def applies(task: flyte.TaskTemplate, x: int) -> list[int]:
    assert isinstance(task, flyte.TaskTemplate)
    renamed = task.override(short_name="other")
    return [await task.aio(x), await renamed.aio(x)]


@env.task
async def hands_tasks_on() -> list[list[int]]:
    return [await applies(double, 2), await applies(triple.override(retries=1), 2)]


# ---- where am I


@env.task
async def whereabouts() -> dict[str, Any]:
    here = flyte.ctx()
    return {
        "there": bool(here),
        "action": here.action.name,
        "task_action": here.task_action.name,
        "run": here.action.run_name,
        "mode": here.mode,
        "in_cluster": here.is_in_cluster(),
        "attempt": here.attempt_number,
        "attempt_variable": os.environ.get("FLYTE_ATTEMPT_NUMBER"),
        "context": here.custom_context,
        "started": here.run_start_time.isoformat(),
        "group": here.group_data.name if here.group_data else None,
        "data": here["nothing there"],
        "key": here.action.idempotency_key,
        "base": here.run_base_dir,
        "raw": here.raw_data_path.path,
    }


@env.task
def whereabouts_in_threads() -> list[str]:
    return [flyte.ctx().action.name, asyncio.run(_my_name())]


async def _my_name() -> str:
    return str(flyte.ctx().action.name)


@env.task
async def shows_where() -> list[Any]:
    with flyte.group("outer"):
        outside = flyte.ctx().group_data
        with flyte.group("inner"):
            inner = await whereabouts()
        pending = [double(1), double(2)]
    with flyte.group("later"):
        await asyncio.gather(*pending)
    with flyte.custom_context(team="vision", run="block"):
        told = await whereabouts()
    plain = await whereabouts()
    own = flyte.ctx().action.name
    threads = await whereabouts_in_threads.aio()
    return [outside.name if outside else "", inner, told, plain, own, threads]


@env.task
def starts_a_run(store: str, mode: str) -> list[str]:
    flyte.init(store=store, mode=mode)
    run = flyte.run(double, 7)
    run.wait(quiet=True)
    return [run.name, str(run.outputs()[0])]


@env.task
async def starts_a_run_async(store: str, mode: str) -> list[str]:
    return starts_a_run.func(store, mode)
