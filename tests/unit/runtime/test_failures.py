"""What Ray's exceptions mean for an attempt: whose fault, and what the author is told to do."""

from __future__ import annotations

import pytest
from ray import exceptions as rx

from flyte_ray import errors
from flyte_ray.core.failure import to_exception
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.runtime.failures import outcome_of
from tests.unit.engine.scenes import attempt

KILLED = """1 worker(s) were killed due to the node running low on memory. Memory was 15.2GB / 16GB
Considered workers: [...]
"""
BUILDER = """Traceback (most recent call last):
  File "runtime_env_agent.py", line 561, in _create_runtime_env_with_retry
ERROR: no matching distribution found for nuumpy
"""


def meant(error: BaseException) -> tuple[Outcome, BaseException]:
    outcome = outcome_of(error, attempt(task="learning.train"))
    assert outcome.error is not None
    return outcome, to_exception(outcome.error)


def test_a_kill_for_memory_is_charged_to_the_task_and_asks_for_more() -> None:
    outcome, told = meant(rx.OutOfMemoryError(KILLED))
    assert outcome.kind is OutcomeKind.OUT_OF_MEMORY
    assert isinstance(told, errors.OOMError)
    assert "running low on memory" in str(told) and "Considered" not in str(told)
    assert "Resources(memory=" in str(told)


def test_an_environment_that_cannot_be_built_is_final_and_says_what_to_correct() -> None:
    outcome, told = meant(rx.RuntimeEnvSetupError(BUILDER))
    assert outcome.kind is OutcomeKind.FINAL_ERROR
    assert isinstance(told, errors.ImageBuildError)
    assert "'learning'" in str(told) and "no matching distribution found for nuumpy" in str(told)
    assert "rerun r1 --recover" in str(told)
    assert "Traceback" not in str(told) and "Traceback" in outcome.logs


@pytest.mark.parametrize("error", [rx.WorkerCrashedError(), rx.NodeDiedError("the node died")])
def test_what_was_lost_is_not_charged_to_the_author(error: BaseException) -> None:
    outcome, told = meant(error)
    assert outcome.kind is OutcomeKind.PLATFORM_ERROR
    assert isinstance(told, errors.RuntimeSystemError)
    assert type(error).__name__ in str(told)


def test_a_cancellation_that_somebody_asked_for_is_one() -> None:
    outcome, told = meant(rx.TaskCancelledError())
    assert outcome.kind is OutcomeKind.CANCELLED
    assert isinstance(told, errors.ActionAbortedError)
