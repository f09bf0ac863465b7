"""How calls become actions: ids, sequence numbers, groups, what is asked, what comes back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.core.cache import Cache
from flyte_ray.core.calls import AttemptSpec, Call
from flyte_ray.core.context import ActionContext, changed, entered
from flyte_ray.core.ids import ActionId, child_id, child_scope
from flyte_ray.core.model import ActionPhase, Outcome, OutcomeKind
from flyte_ray.core.payload import EMPTY, Payload
from flyte_ray.engine.by_value import ByValue
from flyte_ray.engine.controller import Sequences
from flyte_ray.errors import (
    ActionAbortedError,
    NotInTaskContextError,
    RuntimeUserError,
    StoreError,
)
from flyte_ray.store.references import References
from flyte_ray.testing import FakeClock
from tests.unit.engine.scenes import (
    MemoryBook,
    Scripted,
    answer,
    attempt,
    controller,
    encoded,
    failed,
    of_kind,
    run_spec,
    succeeded,
    surroundings,
)
from tests.unit.store.stores import DictBlobs

env = TaskEnvironment(name="called")


@env.task
def step(x: int, factor: int = 2) -> int:
    return x * factor


@env.task
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@env.task(cache="auto")
def kept(x: int) -> int:
    return x


@env.task(cache=Cache("override", version_override="1", serialize=True))
def alone(x: int) -> int:
    return x


@env.task
def silent() -> None: ...


class Stage:
    """One running parent, with an executor whose answers the test writes."""

    def __init__(self, *outcomes: Outcome | None, **changes: Any) -> None:
        self.blobs, self.book = DictBlobs(), MemoryBook()
        self.executor = Scripted(*outcomes)
        ships = ByValue(self.blobs) if changes.pop("is_sent", False) else None
        around = surroundings(self.blobs, self.book, self.executor, FakeClock(autojump=True))
        around = replace(around, ships=ships)
        self.parent = attempt(action_id=ActionId("p1"), scope="ps", **changes)
        self.controller = controller(self.parent, around)
        self.context = ActionContext(
            controller=self.controller,
            run=self.parent.run,
            action_id=self.parent.action_id,
            parent_id=self.parent.parent_id,
            scope=self.parent.scope,
            scope_id=self.parent.action_id,
            task=self.parent.task,
            attempt=1,
            mode="local",
        )

    def outputs(self, **values: Any) -> Payload:
        return encoded(self.blobs, values, {name: type(v) for name, v in values.items()})

    def call(self, task: Any, *args: Any, **kwargs: Any) -> Call:
        return Call(task=task, inputs=task.interface.bind(*args, **kwargs))

    def submit(self, *calls: Call, group: str | None = None) -> list[Any]:
        async def scene() -> list[Any]:
            with entered(self.context), changed(group=group):
                return [await self.controller.submit(call) for call in calls]

        return asyncio.run(scene())

    @property
    def specs(self) -> list[AttemptSpec]:
        return self.executor.specs


def stage(count: int, **changes: Any) -> Stage:
    made = Stage(**changes)
    outputs = made.outputs(o0=1)
    made.executor._outcomes = [succeeded(outputs) for _ in range(count)]
    return made


def test_a_child_is_named_after_its_parents_scope_and_what_it_is() -> None:
    made = stage(1)
    made.submit(made.call(step, 3))
    (spec,) = made.specs
    named = made.outputs(x=3, factor=2).digest
    assert spec.action_id == child_id(made.parent.scope, step.own_identity, named, "", 1)
    assert spec.scope == child_scope(made.parent.scope, "called.step", named, "", 1)
    assert spec.parent_id == "p1"
    assert spec.inputs.values["factor"].inline == "2"


def test_equal_calls_are_numbered_and_others_are_not() -> None:
    made = stage(4)
    made.submit(*[made.call(step, x) for x in (1, 1, 2, 1)])
    ids = [spec.action_id for spec in made.specs]
    assert len(set(ids)) == 4
    again = stage(4)
    again.submit(*[again.call(step, x) for x in (2, 1, 1, 1)])
    assert {spec.action_id for spec in again.specs} == set(ids)


def test_the_group_is_part_of_the_name() -> None:
    plain, grouped = stage(1), stage(1)
    plain.submit(plain.call(step, 1))
    grouped.submit(grouped.call(step, 1), group="training")
    assert plain.specs[0].action_id != grouped.specs[0].action_id
    assert grouped.specs[0].group == "training"
    assert grouped.book.events[0].attrs["group"] == "training"


def test_custom_context_travels_but_names_nothing() -> None:
    plain, spoken = stage(1), stage(1)
    plain.submit(plain.call(step, 1))
    spoken.context = replace(spoken.context, custom_context={"team": "vision"})
    spoken.submit(spoken.call(step, 1))
    assert plain.specs[0].action_id == spoken.specs[0].action_id
    assert spoken.specs[0].custom_context == {"team": "vision"}


@pytest.mark.parametrize("replay", [True, False])
def test_the_record_is_asked_only_where_it_may_know(replay: bool) -> None:
    made = stage(1, replay=replay)
    made.submit(made.call(step, 1))
    asked = [each.adopt for each in made.book.questions]
    assert asked == ([True, False] if replay else []), "before it runs, and what the book then has"
    assert made.specs[0].replay is replay


def test_a_cached_task_asks_for_its_key() -> None:
    made = stage(1)
    made.submit(made.call(kept, 1))
    (asked,) = made.book.questions
    assert asked.cache_key == made.specs[0].cache_key is not None
    assert not asked.replay
    assert made.book.events[0].attrs["cache_version"]


@pytest.mark.parametrize("wish", ["disable_cache", "overwrite_cache"])
def test_a_run_may_leave_the_cache_alone(wish: str) -> None:
    made = stage(1, run=run_spec(**{wish: True}))
    made.submit(made.call(kept, 1))
    assert made.book.questions == []
    assert (made.specs[0].cache_key is None) is (wish == "disable_cache")


def test_a_forced_action_is_not_to_be_adopted() -> None:
    first = stage(1, replay=True)
    first.submit(first.call(step, 1))
    name = first.specs[0].action_id
    forced = stage(1, replay=True, run=run_spec(force_rerun_actions=(name,)))
    forced.submit(forced.call(step, 1))
    assert not forced.book.questions[0].adopt


def test_outputs_come_back_as_the_task_returns_them() -> None:
    made = Stage()
    made.executor._outcomes = [
        succeeded(made.outputs(o0=6)),
        succeeded(made.outputs(o0=1, o1="1")),
        succeeded(EMPTY),
    ]
    got = made.submit(made.call(step, 3), made.call(pair, 1), made.call(silent))
    assert got == [6, (1, "1"), None]


def test_a_childs_error_reaches_its_parent_as_both_types() -> None:
    made = Stage(failed(OutcomeKind.USER_ERROR, "no"))
    with pytest.raises(ValueError, match="no") as caught:
        made.submit(made.call(step, 1))
    assert isinstance(caught.value, RuntimeUserError)


def test_an_aborted_child_is_an_error_in_its_parent() -> None:
    made = Stage(Outcome(kind=OutcomeKind.CANCELLED))
    with pytest.raises(ActionAbortedError):
        made.submit(made.call(step, 1))


def test_a_call_outside_of_an_action_is_refused() -> None:
    made = stage(1)
    with pytest.raises(NotInTaskContextError):
        asyncio.run(made.controller.submit(made.call(step, 1)))


def test_a_wrong_argument_is_refused_before_anything_is_written() -> None:
    made = stage(1)
    with pytest.raises(TypeError, match=r"called\.step.*'x'"):
        made.submit(Call(task=step, inputs={"x": "three", "factor": 2}))
    assert made.book.events == []


def test_at_most_so_many_children_are_in_flight() -> None:
    made = stage(10, run=run_spec(max_action_concurrency=3))
    inside: list[int] = []
    execute = made.executor.execute

    async def counting(spec: Any, task: Any) -> Outcome:
        inside.append(made.controller._gate.inside)
        return await execute(spec, task)

    made.executor.execute = counting  # type: ignore[method-assign]

    async def scene() -> None:
        with entered(made.context):
            calls = [made.controller.submit(made.call(step, x)) for x in range(10)]
            await asyncio.gather(*calls)

    asyncio.run(scene())
    assert len(inside) == 10
    assert max(inside) == 3


def test_a_call_that_is_cancelled_before_its_turn_gives_its_key_up() -> None:
    made = Stage(None, run=run_spec(max_action_concurrency=1))

    async def scene() -> None:
        with entered(made.context):
            first = asyncio.ensure_future(made.controller.submit(made.call(step, 1)))
            await made.executor.began.wait()
            second = asyncio.ensure_future(made.controller.submit(made.call(alone, 2)))
            while not made.book.questions:
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            second.cancel()
            await asyncio.wait({second})
            assert [each.parent_id for each in made.book.questions] == ["p1"]
            rows = [row for row in made.book.events if row.task == "called.alone"]
            assert [row.phase for row in rows] == [ActionPhase.QUEUED, ActionPhase.ABORTED]
            assert rows[-1].cache_key == made.book.questions[0].cache_key
            first.cancel()
            await asyncio.wait({first})

    asyncio.run(scene())


def test_closing_cancels_what_the_body_left_behind() -> None:
    made = Stage(None)

    async def scene() -> asyncio.Future[Any]:
        with entered(made.context):
            left = asyncio.ensure_future(made.controller.submit(made.call(step, 1)))
            await made.executor.began.wait()
        assert made.controller.has_calls_underway
        await made.controller.close()
        assert not made.controller.has_calls_underway
        return left

    assert asyncio.run(scene()).cancelled()
    assert made.executor.stopped == 1
    assert [event.phase for event in made.book.events][-1] is ActionPhase.ABORTED


def test_a_blocking_call_is_driven_on_the_engines_own_loop() -> None:
    made = stage(1)
    with entered(made.context):
        assert made.controller.submit_blocking(made.call(step, 1)) == 1


def test_sequences_count_each_key_on_its_own() -> None:
    sequences = Sequences()
    assert [sequences.next("a"), sequences.next("a"), sequences.next("a", "b")] == [1, 2, 1]


def by_value() -> Any:
    """A task that no module holds."""

    @env.task
    def inner(x: int) -> int:
        return x

    return inner


def test_the_row_of_a_task_that_travels_by_value_says_where_its_code_lies() -> None:
    made, task = stage(2, is_sent=True), by_value()
    made.submit(made.call(task, 1), made.call(task, 2))
    rows = of_kind(made.book.events, "submitted")
    [key] = {row.attrs["blob_key"] for row in rows}
    assert [spec.address.blob_key for spec in made.specs] == [key, key]
    assert made.blobs.calls["put"] == 1, "once for all calls"
    found = References()
    found.add_text(json.dumps(dict(rows[0].attrs)))
    assert found.code == {key}, "so an archive takes it along, and a removal spares it"
    assert made.blobs.exists(key)


def test_a_task_that_is_answered_or_runs_here_is_not_sent_anywhere() -> None:
    here, task = stage(1), by_value().override(cache="auto")
    here.submit(here.call(task, 1))
    assert "blob_key" not in here.book.events[0].attrs
    (spec,) = here.specs
    assert spec.address.blob_key is None

    answered = stage(0, is_sent=True)
    answered.book.answers[spec.action_id] = answer("cache", answered.outputs(o0=1))
    assert answered.submit(answered.call(task, 1)) == [1]
    assert not answered.blobs.objects


def test_a_key_is_given_up_when_the_code_cannot_be_sent() -> None:
    made = stage(1, is_sent=True)

    def away(operation: str, key: str) -> None:
        raise StoreError("away")

    made.blobs.before = away
    task = by_value().override(cache=Cache("override", version_override="1", serialize=True))
    with pytest.raises(StoreError):
        made.submit(made.call(task, 1))
    assert made.book.kinds == ["submitted", "aborted"]
