"""Tasks that wait for an answer from outside."""

from __future__ import annotations

import flyte_ray as flyte
from flyte_ray import errors
from tests.integration.contract.tasks.marks import leave

env = flyte.TaskEnvironment(name="contract_asking")
whole = flyte.TaskEnvironment(name="contract_asking_all", resources=flyte.Resources(cpu=2))


@env.task
async def approve(folder: str) -> str:
    leave(folder, "approve")
    asked = await flyte.new_condition.aio("publish", prompt="Publish it?", data_type=str)
    answer = await asked.wait.aio()
    leave(folder, "answered")
    return f"answer: {answer}"


@env.task
def approve_sync() -> float:
    limit: float = flyte.new_condition("limit", data_type=float).wait()
    return limit


@env.task(retries=1)
async def breaks_after(folder: str) -> int:
    asked = await flyte.new_condition.aio("count", data_type=int)
    count: int = await asked.wait.aio()
    leave(folder, "attempt")
    if flyte.ctx().attempt_number == 0:
        raise ValueError("after the answer")
    return count


@env.task
async def in_vain() -> str:
    asked = await flyte.new_condition.aio("never", timeout=0.6)
    try:
        await asked.wait.aio()
    except errors.ConditionTimedoutError as error:
        return str(error)
    return "answered"


@whole.task
def needs_all_cpus(folder: str) -> None:
    leave(folder, "all")


@whole.task
async def lends(folder: str) -> bool:
    """Holds all CPUs, but not while it waits."""
    asked = await flyte.new_condition.aio("go on")
    done: bool = await asked.wait.aio()
    return done
