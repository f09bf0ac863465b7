"""Calling tasks: the call matrix, binding, overriding."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
from datetime import timedelta

import pytest

import flyte_ray as flyte
from flyte_ray.author.live_code import forget_live_code
from flyte_ray.core.context import entered
from flyte_ray.errors import (
    SyncTaskCallInAsyncContextError,
    TraceDoesNotAllowNestedTasksError,
)
from tests.unit.author.fake_controller import FakeController, in_action

env = flyte.TaskEnvironment(name="calls")
warm = flyte.TaskEnvironment(name="warm", reusable=flyte.ReusePolicy(replicas=1))


@env.task
async def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


@env.task(short_name="twice", retries=2)
def double(x: int) -> int:
    return 2 * x


@warm.task
async def kept(x: int) -> int:
    return x


# ------------------------------------------------------------------------------ outside a task


def test_outside_a_sync_task_is_a_plain_function() -> None:
    assert double(4) == 8


def test_outside_an_async_task_gives_the_functions_coroutine() -> None:
    assert asyncio.run(add(1, y=4)) == 5


def test_outside_aio_gives_the_value_for_both_kinds() -> None:
    async def both() -> tuple[int, int]:
        return await add.aio(1), await double.aio(4)

    assert asyncio.run(both()) == (2, 8)


# ------------------------------------------------------------------------------- inside a task


def test_inside_an_async_call_asks_the_controller_with_bound_inputs() -> None:
    with in_action() as controller:
        assert asyncio.run(add(1)) == 2
    assert [(each.task, each.inputs) for each in controller.asked] == [
        ("calls.add", {"x": 1, "y": 1})
    ]


def test_nothing_is_asked_before_the_coroutine_is_awaited() -> None:
    async def body(controller: FakeController) -> int:
        call = add(1)
        assert controller.asked == []
        return await call

    with in_action() as controller:
        assert asyncio.run(body(controller)) == 2


def test_a_call_made_early_belongs_to_the_group_in_which_it_is_awaited() -> None:
    async def body() -> None:
        calls = [add(n) for n in range(2)]
        with flyte.group("later"):
            await asyncio.gather(*calls)

    with in_action() as controller:
        asyncio.run(body())
    assert [each.group for each in controller.asked] == ["later", "later"]


def test_a_call_awaited_where_the_context_is_lost_still_reaches_the_controller() -> None:
    with in_action() as controller:
        call = add(1)
    assert contextvars.Context().run(asyncio.run, call) == 2
    assert len(controller.asked) == 1


def test_a_sync_task_called_from_a_sync_body_blocks() -> None:
    with in_action() as controller:
        assert double(3) == 6
    assert controller.asked[0].task == "calls.double"


def test_a_sync_task_called_on_a_running_loop_names_aio() -> None:
    async def body() -> int:
        return double(3)

    with in_action(), pytest.raises(SyncTaskCallInAsyncContextError, match=r"await twice\.aio"):
        asyncio.run(body())


def test_aio_of_a_sync_task_is_a_child_action() -> None:
    async def body() -> int:
        return await double.aio(3)

    with in_action() as controller:
        assert asyncio.run(body()) == 6
    assert len(controller.asked) == 1


def test_a_sync_body_may_run_an_async_task_with_its_own_loop() -> None:
    with in_action() as controller:
        assert asyncio.run(add.aio(1, 2)) == 3
    assert len(controller.asked) == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"z": 2}), ((1,), {"x": 2})],
    ids=["missing", "too many", "unknown", "doubled"],
)
def test_wrong_arguments_raise_type_error_when_awaited(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    with in_action() as controller:
        call = add(*args, **kwargs)
        with pytest.raises(TypeError, match=r"calls\.add"):
            asyncio.run(call)
    assert controller.asked == []


def test_forward_runs_the_function_in_place() -> None:
    with in_action() as controller:
        assert double.forward(2) == 4
        assert asyncio.run(add.forward(2)) == 3
    assert controller.asked == []


def test_tasks_are_refused_inside_a_trace_but_forward_is_not() -> None:
    with in_action(in_trace=True):
        with pytest.raises(TraceDoesNotAllowNestedTasksError, match="forward"):
            asyncio.run(add(1))
        with pytest.raises(TraceDoesNotAllowNestedTasksError):
            double(1)
        assert double.forward(1) == 2


def test_cancelling_the_awaiting_task_cancels_the_child() -> None:
    waits = flyte.TaskEnvironment(name="waits")

    @waits.task
    async def forever() -> None:
        await asyncio.Event().wait()

    async def body(controller: FakeController) -> None:
        child = asyncio.create_task(forever())
        while not controller.asked:
            await asyncio.sleep(0)
        child.cancel()
        with pytest.raises(asyncio.CancelledError):
            await child

    with in_action() as controller:
        asyncio.run(body(controller))
    assert controller.cancelled == ["waits.forever"]


# ---------------------------------------------------------------------------------- attributes


def test_a_task_is_no_function_but_looks_like_its_own() -> None:
    assert not inspect.iscoroutinefunction(add)
    assert not hasattr(add, "__name__")
    assert not hasattr(add, "__wrapped__")
    assert add.__doc__ == "Add two numbers."
    assert str(inspect.signature(add)) == "(x: 'int', y: 'int' = 1) -> 'int'"
    assert isinstance(add, flyte.TaskTemplate)
    assert isinstance(add, flyte.AsyncFunctionTaskTemplate)


def test_attributes_under_flytes_names() -> None:
    assert (double.name, double.short_name, double.task_type) == ("calls.double", "twice", "python")
    assert double.retries.count == 2
    assert double.parent_env is not None
    assert double.parent_env() is env
    assert double.parent_env_name == "calls"
    assert double.native_interface.inputs["x"][0] is int
    assert double.source_file == __file__
    assert double.func(2) == 4
    assert not double.cache.is_enabled()


# ---------------------------------------------------------------------------------- overriding


def test_override_gives_a_new_task_and_leaves_the_old_one() -> None:
    big = double.override(resources=flyte.Resources(cpu=4), timeout=5, short_name="big")
    assert big is not double
    assert (big.name, big.short_name) == ("calls.double", "big")
    assert big.resources == flyte.Resources(cpu=4)
    assert big.timeout.max_runtime == timedelta(seconds=5)
    assert big.identity == double.identity
    assert double.resources is None
    assert env.tasks["calls.double"] is double


def test_override_keeps_what_a_false_value_would_reset() -> None:
    same = double.override(retries=0, timeout=None, cache=None)
    assert same.retries.count == 2


def test_override_can_switch_the_cache_off_and_on() -> None:
    cached = double.override(cache=True)
    assert cached.cache.is_enabled()
    assert not cached.override(cache=False).cache.is_enabled()


def test_override_passes_report_through() -> None:
    assert double.override(report=True).report


def test_the_overridden_options_reach_the_controller() -> None:
    with in_action() as controller:
        asyncio.run(add.override(retries=7)(1))
    assert controller.asked[0].options.retries.count == 7


@pytest.mark.parametrize("name", ["name", "image", "docs", "interface"])
def test_some_things_cannot_be_overridden(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        double.override(**{name: "x"})  # type: ignore[misc, arg-type]


def test_an_unknown_override_names_its_neighbour() -> None:
    with pytest.raises(TypeError, match="did you mean 'retries'"):
        double.override(retry=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "changes",
    [
        {"resources": flyte.Resources(cpu=2)},
        {"env_vars": {"A": "1"}},
        {"secrets": "token"},
        {"service_account": "me"},
    ],
)
def test_a_warm_worker_cannot_change_what_it_is(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match='reusable="off"'):
        kept.override(**changes)  # type: ignore[arg-type]
    alone = kept.override(reusable="off", **changes)  # type: ignore[arg-type]
    assert alone.reusable is None


def test_context_helpers_do_not_leak_between_tests() -> None:
    with entered(None):
        assert not flyte.ctx()


def test_a_task_describes_its_inputs() -> None:
    env = flyte.TaskEnvironment(name="described")

    @env.task
    def scale(x: int, factor: float = 1.5) -> float:
        """Scale it.

        Args:
            x: what to scale.
        """
        return x * factor

    assert scale.json_schema["required"] == ["x"]
    assert scale.json_schema["properties"]["factor"] == {"type": "number", "default": 1.5}
    assert scale.native_interface.docstring.short_description == "Scale it."
    assert scale.native_interface.docstring.input_descriptions == {"x": "what to scale."}


def test_typed_code_is_read_anew_before_a_run_by_all_who_keep_what_it_came_to() -> None:
    factor = {"value": 1}

    @env.task
    def typed(x: int) -> int:
        return x * factor["value"]

    others = [typed, copy.copy(typed), typed.override(short_name="t")]
    before = {each.identity for each in others}
    assert len(before) == 1
    factor["value"] = 2
    assert {each.identity for each in others} == before, "within a run it stays what it was"
    forget_live_code()
    after = {each.identity for each in others}
    assert len(after) == 1
    assert after != before
    stable = double.identity
    forget_live_code()
    assert double.identity == stable
