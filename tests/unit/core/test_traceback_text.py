"""Tracebacks show an author's frames, and each cause once."""

from __future__ import annotations

import asyncio
import re

import pytest

import flyte_ray as flyte
from flyte_ray import errors
from flyte_ray.core.failure import from_exception, to_exception
from flyte_ray.core.resources import Resources
from flyte_ray.core.traceback_text import authors_text
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="trace_text")


@env.task
async def breaks(x: int) -> int:
    raise ValueError(f"bad {x}")


@env.task
async def calls(x: int) -> int:
    return await breaks(x)


def frames(text: str) -> list[str]:
    return re.findall(r"line \d+, in (.*)", text)


def caught(call: object) -> BaseException:
    with pytest.raises(BaseException) as raised:
        call()  # type: ignore[operator]
    return raised.value


def test_the_record_shows_the_tasks_and_nothing_between_them(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(calls, 3)
    root = next(action for action in run.actions() if action.action_id == "a0")
    assert root.error is not None
    error = caught(run.raise_for_status)
    text = authors_text(error)
    assert frames(text)[:2] == ["breaks", "calls"]
    assert text.count("ValueError: bad 3") == 3, "once in each task, once where it was waited for"
    assert "flyte_ray/engine" not in text
    assert "RemoteTraceback" not in text


def test_causes_and_contexts_are_joined_as_python_does() -> None:
    def with_context() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904

    def with_cause() -> None:
        try:
            with_context()
        except ValueError as error:
            raise TypeError("third") from error

    text = authors_text(caught(with_cause))
    assert re.findall(r"^(\w+Error|During|The above)", text, re.MULTILINE) == [
        "KeyError",
        "During",
        "ValueError",
        "The above",
        "TypeError",
    ]


def test_what_travelled_is_told_by_the_far_traceback_alone() -> None:
    def far() -> None:
        raise LookupError("gone")

    seen = to_exception(from_exception(caught(far)))
    text = authors_text(caught(lambda: (_ for _ in ()).throw(seen)))
    assert text.count("LookupError: gone") == 2
    assert "far" in frames(text.partition("The above")[0])


def test_a_wrong_call_shows_where_it_was_made() -> None:
    async def author() -> None:
        with pytest.raises(TypeError) as raised:
            calls.interface.bind(1, 2, 3)
        raise raised.value

    text = authors_text(caught(lambda: asyncio.run(author())))
    assert "flyte_ray/core/interface.py" not in text
    assert "author" in frames(text)


def test_our_own_mistake_keeps_every_frame_but_at_the_end_of_a_script() -> None:
    error = caught(lambda: Resources(cpu=-1))
    assert not isinstance(error, errors.FlyteRayError)
    assert "core/resources.py" in authors_text(error)
    assert "core/resources.py" not in authors_text(error, keep_mistakes=False)


def test_a_cause_inside_the_house_is_left_out() -> None:
    with pytest.raises(errors.UsageError) as raised:
        try:
            Resources(cpu=-1)
        except ValueError as error:
            error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
            raise errors.UsageError("told in other words") from error
    text = authors_text(raised.value, keep_mistakes=False)
    assert "core/resources.py" not in text
    assert "UsageError: told in other words" in text


def test_groups_are_trimmed_inside() -> None:
    async def author() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(breaks.forward(1))

    text = authors_text(caught(lambda: asyncio.run(author())))
    assert "ValueError: bad 1" in text


def test_a_chain_that_bites_its_tail_ends() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert authors_text(error).endswith("ValueError: x\n")
