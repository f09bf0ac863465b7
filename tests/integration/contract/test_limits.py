"""Limits on time, and what becomes of a body that is stopped (item 8, §11)."""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path

import pytest

from flyte_ray import errors
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, only
from tests.integration.contract.tasks import slow
from tests.integration.contract.tasks.marks import count


def test_each_limit_stops_its_body_and_reaches_the_parent_as_its_class(
    house: House, marks: str
) -> None:
    run = house.finish(slow.sees_timeouts, marks)
    run.raise_for_status()
    too_long = ["MaxRuntimeExceededError", "MaxRuntimeExceededError", "True"]
    assert run.outputs()[0] == {
        "async": too_long,
        "sync": too_long,
        "loop": too_long,
        "call": too_long,
        "deadline": ["DeadlineExceededError", "DeadlineExceededError", "True"],
        "own": ["TimeoutError", "TimeoutError", "False"],
    }
    for name in (
        "sleeps_async",
        "sleeps_in_steps",
        "computes",
        "sits_in_a_call",
        "misses_its_deadline",
    ):
        assert only(run, name).phase is ActionPhase.TIMED_OUT, name
    for name, said in {
        "sleeps_async": "sleeping async\n",
        "sleeps_in_steps": "sleeping in steps\n",
        "sits_in_a_call": "sitting in a call\n",
    }.items():
        assert [a.logs for a in only(run, name).attempts] == [said]
    assert only(run, "raises_its_own_timeout").phase is ActionPhase.FAILED
    assert count(marks, "cleaned") == 1, "a stopped body runs its finally blocks"
    assert count(marks, "deadline") < 10, "the deadline holds over all attempts"


def test_a_time_out_of_an_attempt_is_charged_to_retries(house: House, marks: str) -> None:
    run = house.finish(slow.slow_once, marks)
    assert run.outputs()[0] == 2
    attempts = only(run, "slow_once").attempts
    assert "max_runtime" in (attempts[0].error or "")


def test_the_time_in_which_its_code_is_loaded_is_not_charged_to_a_body(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"loaded_slowly_{house.mode}"
    text = f"""
        import time
        import flyte_ray as flyte
        time.sleep(1.5)
        env = flyte.TaskEnvironment("{name.replace("_", "-")}")
        @env.task(timeout=1)
        def quick() -> str:
            time.sleep(0.3)
            return "in time"
        """
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert house.result(importlib.import_module(name).quick) == "in time"


def test_the_root_can_time_out_too(house: House, marks: str) -> None:
    run = house.finish(slow.sleeps_async, marks)
    assert run.phase is ActionPhase.TIMED_OUT
    with pytest.raises(errors.MaxRuntimeExceededError, match=r"max_runtime of 0:00:00\.8"):
        run.raise_for_status()
