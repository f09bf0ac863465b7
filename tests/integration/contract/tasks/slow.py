"""Tasks that take too long, and bodies that are stopped."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import flyte_ray as flyte
from flyte_ray import errors
from tests.integration.contract.tasks.failing import quick
from tests.integration.contract.tasks.marks import leave, wait_for

env = flyte.TaskEnvironment(name="contract_slow")
SHORT = timedelta(seconds=0.8)
"""Long enough for a body's first steps on a busy machine."""
FOR_EVER_S = 300.0


@env.task(timeout=SHORT)
async def sleeps_async(folder: str) -> None:
    print("sleeping async")
    try:
        await asyncio.sleep(FOR_EVER_S)
    finally:
        leave(folder, "cleaned")


@env.task(timeout=SHORT)
def sleeps_in_steps() -> None:
    print("sleeping in steps")
    for _ in range(int(FOR_EVER_S / 0.05)):
        time.sleep(0.05)


@env.task(timeout=SHORT)
def computes() -> int:
    until = time.monotonic() + FOR_EVER_S
    number = 0
    while time.monotonic() < until:
        number += 1
    return number


@env.task(timeout=SHORT)
def sits_in_a_call() -> None:
    print("sitting in a call")
    time.sleep(20)  # no exception gets in before this returns


@env.task(timeout=SHORT)
async def computes_async() -> int:
    print("computing")
    return computes.func()


@env.task(timeout=SHORT)
async def computes_beside_a_child(folder: str) -> int:
    child = asyncio.create_task(waits(folder, "beside"))
    await asyncio.sleep(0)  # the call is underway
    assert not child.done()
    return computes.func()


@env.task(timeout=SHORT, retries=quick(1))
async def slow_once(folder: str) -> int:
    made = leave(folder, "slow_once")
    if made == 1:
        await asyncio.sleep(FOR_EVER_S)
    return made


@env.task(timeout=flyte.Timeout(deadline=timedelta(seconds=0.6)), retries=quick(1000))
async def misses_its_deadline(folder: str) -> None:
    leave(folder, "deadline")
    await asyncio.sleep(0.2)
    raise ValueError("again")


@env.task(timeout=flyte.Timeout(max_runtime=timedelta(seconds=100)))
async def raises_its_own_timeout() -> None:
    raise TimeoutError("mine")


@env.task
async def sees_timeouts(folder: str) -> dict[str, list[str]]:
    calls = {
        "async": sleeps_async(folder),
        "sync": sleeps_in_steps.aio(),
        "loop": computes.aio(),
        "call": sits_in_a_call.aio(),
        "deadline": misses_its_deadline(folder),
        "own": raises_its_own_timeout(),
    }
    ended = await asyncio.gather(*calls.values(), return_exceptions=True)
    found = {}
    for name, error in zip(calls, ended, strict=True):
        assert isinstance(error, errors.RuntimeUserError), error
        is_timeout = isinstance(error, errors.TaskTimeoutError)
        found[name] = [type(error).__name__, error.code, str(is_timeout)]
    return found


# ---- ending from outside


@env.task
async def waits(folder: str, name: str) -> str:
    leave(folder, f"begun-{name}")
    try:
        await asyncio.sleep(FOR_EVER_S)
    except asyncio.CancelledError:
        leave(folder, f"cancelled-{name}")
        raise
    return "waited"


@env.task
def waits_plainly(folder: str, name: str) -> str:
    leave(folder, f"begun-{name}")
    try:
        for _ in range(int(FOR_EVER_S / 0.05)):
            time.sleep(0.05)
    finally:
        leave(folder, f"cancelled-{name}")
    return "waited"


@env.task
async def middle(folder: str) -> list[str]:
    return await asyncio.gather(waits(folder, "leaf"), waits_plainly.aio(folder, "plain"))


@env.task
async def tree(folder: str) -> list[str]:
    return await middle(folder)


@env.task
async def cancels_a_child(folder: str) -> list[str]:
    child = asyncio.create_task(waits(folder, "child"))
    plain = asyncio.create_task(waits_plainly.aio(folder, "plain"))
    never = asyncio.create_task(waits(folder, "never"))
    never.cancel()
    await _begun(folder, "child", "plain")
    child.cancel()
    plain.cancel()
    ended = await asyncio.gather(child, plain, never, return_exceptions=True)
    late = asyncio.wait_for(waits(folder, "late"), timeout=0.3)
    try:
        await late
    except TimeoutError:
        ended.append("late")  # type: ignore[arg-type]
    return [each if isinstance(each, str) else type(each).__name__ for each in ended]


@env.task
async def leaves_children_behind(folder: str) -> str:
    left = asyncio.create_task(waits(folder, "left"))
    await _begun(folder, "left")
    return f"done before {'it' if not left.done() else 'none'}"


@env.task
async def one_fails_in_a_group(folder: str) -> str:
    found = "nothing failed"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(folder, "sibling"))
            await _begun(folder, "sibling")
            group.create_task(fails())
    except* ValueError as caught:
        found = f"{len(caught.exceptions)} {caught.exceptions[0]}"
    return found


@env.task
async def fails() -> None:
    raise ValueError("one failed")


async def _begun(folder: str, *names: str) -> None:
    for name in names:
        await asyncio.to_thread(wait_for, folder, f"begun-{name}")
