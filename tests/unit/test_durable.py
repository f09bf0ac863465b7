"""Time and chance that replay."""

from __future__ import annotations

import asyncio
import time as clock
from datetime import datetime

import pytest

from flyte_ray import durable
from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.core.context import current
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.author.fake_controller import FakeController, in_action

__all__ = ["flyte_local"]

env = TaskEnvironment(name="durable")
seen: list[tuple[float, float, float]] = []


def again(controller: FakeController) -> None:
    controller.next_attempt()


def test_the_first_answer_is_the_one_of_all_attempts() -> None:
    with in_action() as controller:
        first = (durable.time(), durable.random(), durable.now(), durable.random())
        again(controller)
        assert (durable.time(), durable.random(), durable.now(), durable.random()) == first
    assert first[1] != first[3]


def test_the_awaited_forms_replay_too() -> None:
    async def body() -> tuple[float, float, datetime]:
        return await durable.time.aio(), await durable.random.aio(), await durable.now.aio()

    with in_action() as controller:
        first = asyncio.run(body())
        again(controller)
        assert asyncio.run(body()) == first


def test_now_is_local_time_without_a_zone() -> None:
    before = datetime.now()  # noqa: DTZ005  as Flyte's is
    with in_action():
        now = durable.now()
    assert now.tzinfo is None
    assert before <= now


def test_outside_of_a_task_they_are_plain() -> None:
    assert durable.time() <= durable.time()
    assert durable.random() != durable.random()
    durable.sleep(0)


def test_a_sleep_that_was_cut_off_goes_on_where_it_was() -> None:
    with in_action() as controller:
        durable.sleep(0)
        (key,) = controller.traced
        long_ago = {**controller.traced, (key[0], key[1], "[('seconds', 3600.0)]", 1): 0.0}
        controller.traced.update(long_ago)
        again(controller)
        began = clock.monotonic()
        durable.sleep(3600.0)  # began in 1970: nothing is left of it
    assert clock.monotonic() - began < 600


def test_a_negative_sleep_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        durable.sleep(-1)


@env.task(retries=1)
async def twice() -> float:
    here = current()
    assert here is not None
    seen.append((await durable.time.aio(), await durable.random.aio(), 0.0))
    if here.attempt == 1:
        raise ValueError("again")
    return seen[-1][1]


@env.task(retries=1)
def twice_sync() -> float:
    here = current()
    assert here is not None
    seen.append((durable.time(), durable.random(), 0.0))
    durable.sleep(0.001)
    if here.attempt == 1:
        raise ValueError("again")
    return seen[-1][1]


@pytest.mark.parametrize("task", [twice, twice_sync])
def test_a_retry_sees_what_the_first_attempt_saw(flyte_local: LocalHarness, task: object) -> None:
    seen.clear()
    run = flyte_local.run(task)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert run.outputs()[0] == seen[0][1]
    steps = [action.task for action in run.actions() if action.kind == "trace"]
    assert "durable_random" in steps
