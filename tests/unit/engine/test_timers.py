from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.timeout import Timeout
from flyte_ray.core.timer import Sleep
from flyte_ray.engine.attempt import Tools
from flyte_ray.engine.timers import Timers
from flyte_ray.store.values import RunValues
from flyte_ray.testing import FakeClock
from tests.unit.engine.scenes import MemoryBook, Scripted, attempt, encoded, succeeded
from tests.unit.store.stores import DictBlobs

TIMER = TaskOptions(plugin_config=Sleep())


class Stage:
    def __init__(self, clock: FakeClock, *outcomes: Outcome) -> None:
        self.blobs, self.book, self.clock = DictBlobs(), MemoryBook(), clock
        self.inner = Scripted(*outcomes)
        tools = Tools(
            codecs=PayloadCodec(), values=RunValues(self.blobs, RunName("r1")), blobs=self.blobs
        )
        self.timers = Timers(self.inner, tools=tools, book=self.book, clock=clock)

    def execute(self, values: Mapping[str, Any], options: TaskOptions = TIMER) -> Outcome:
        inputs = encoded(self.blobs, values, {name: type(value) for name, value in values.items()})
        return asyncio.run(self.timers.execute(attempt(inputs=inputs, options=options), None))


def test_a_timer_lets_the_time_pass_without_a_worker() -> None:
    stage = Stage(FakeClock(autojump=True))
    outcome = stage.execute({"duration": timedelta(hours=3)})
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.outputs is not None
    assert stage.clock.slept == [3 * 3600]
    assert stage.inner.specs == []
    assert stage.book.kinds == ["started"]


def test_everything_else_goes_to_the_other_executor() -> None:
    stage = Stage(FakeClock(), succeeded())
    assert stage.execute({"x": 1}, TaskOptions()).kind is OutcomeKind.SUCCEEDED
    assert len(stage.inner.specs) == 1
    assert stage.book.kinds == []


def test_a_negative_duration_is_over_at_once() -> None:
    stage = Stage(FakeClock(autojump=True))
    assert stage.execute({"duration": timedelta(-1)}).kind is OutcomeKind.SUCCEEDED
    assert stage.clock.slept == [0.0]


def test_a_timer_that_lasts_longer_than_it_may_is_timed_out() -> None:
    stage = Stage(FakeClock(autojump=True))
    options = TaskOptions(plugin_config=Sleep(), timeout=Timeout(max_runtime=timedelta(seconds=5)))
    outcome = stage.execute({"duration": timedelta(hours=1)}, options)
    assert outcome.kind is OutcomeKind.TIMED_OUT
    assert stage.clock.slept == [5.0]


def test_what_is_no_duration_is_a_final_error() -> None:
    outcome = Stage(FakeClock()).execute({})
    assert outcome.kind is OutcomeKind.FINAL_ERROR
    assert outcome.error is not None
    assert "timedelta" in outcome.error.message


def test_a_timer_can_always_be_carried_out() -> None:
    assert Stage(FakeClock()).timers.check(TIMER) is None


def test_only_functions_of_one_timedelta_become_timers() -> None:
    env = TaskEnvironment(name="timers", plugin_config=Sleep())

    @env.task
    async def pause(duration: timedelta) -> None: ...

    assert pause.plugin_config == Sleep()
    for wrong in (_number, _returning, _two):
        with pytest.raises(TypeError, match=r"datetime\.timedelta"):
            env.task(wrong)


def _number(seconds: float) -> None: ...


def _returning(duration: timedelta) -> int:
    return 1


def _two(duration: timedelta, x: int) -> None: ...
