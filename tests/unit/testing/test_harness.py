from __future__ import annotations

from typing import Any

import pytest

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.client.session import current_session
from flyte_ray.core.model import ActionPhase
from flyte_ray.testing import assert_cached, assert_executed, assert_recovered
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

env = TaskEnvironment(name="harness")
broken = True


@env.task(cache="auto")
async def step(x: int) -> int:
    return x + 1


@env.task
async def main(x: int) -> int:
    return await step(await step(x))


@env.task
async def fragile(x: int) -> int:
    y = await step(x)
    if broken:
        raise ValueError("not yet")
    return y


def test_a_run_is_executed_in_a_store_of_its_own(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(main, x=1)
    assert run.outputs()[0] == 3
    assert run.url.startswith(str(flyte_local.store))
    assert_executed(run, 3)
    assert_executed(run, 2, task="step")
    assert_cached(run, 0)


def test_a_second_run_is_cached(flyte_local: LocalHarness) -> None:
    flyte_local.run(main, x=1)
    again = flyte_local.run(main, x=1)
    assert_cached(again, 2, task="harness.step")
    assert_executed(again, 1)


def test_a_failed_run_is_handed_back_and_recovers(
    flyte_local: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = flyte_local.run_with({"disable_run_cache": True}, fragile, x=1)
    assert failed.phase is ActionPhase.FAILED
    monkeypatch.setitem(globals(), "broken", False)
    recovered = flyte_local.rerun(failed, recover=True)
    assert recovered.outputs()[0] == 2
    assert_recovered(recovered, 1, task="step")
    assert_executed(recovered, 1, task="fragile")


def test_a_wrong_count_lists_the_actions(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(step, x=1)
    with pytest.raises(AssertionError, match=r"(?s)5 actions .* but 1 were:.*harness\.step: succ"):
        assert_executed(run, 5)


def test_the_session_before_is_back_after_the_test(request: Any) -> None:
    before = current_session()
    local = request.getfixturevalue("flyte_local")
    assert current_session() is not before
    assert current_session().store_url == str(local.store)
