"""Conditions: a task waits for an answer from outside, holding nothing (item 4, §21)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from flyte_ray import errors
from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.main import answer, open_backend
from flyte_ray.client.run import Run
from flyte_ray.client.signal import Condition
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, ended, only
from tests.integration.contract.tasks import asking
from tests.integration.contract.tasks.marks import count


def eventually(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something."""
    for _ in range(600):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


def asked(run: Run, name: str) -> Condition:
    """The condition, once the task has come that far."""

    def look() -> Condition | None:
        found = [each for each in Condition.listall(run.name) if each.name == name]
        return found[0] if found else None

    found: Condition = eventually(look)
    return found


def test_a_task_goes_on_with_the_answer_and_the_record_tells_all(house: House, marks: str) -> None:
    run = house.start(asking.approve, marks)
    condition = asked(run, "publish")
    assert (condition.prompt, condition.expected_type) == ("Publish it?", str)
    eventually(lambda: condition.phase is ActionPhase.PAUSED)
    assert count(marks, "answered") == 0
    condition.signal("yes, do")
    ended(run).raise_for_status()
    assert run.outputs()[0] == "answer: yes, do"
    action = only(run, "publish")
    assert (action.kind, action.phase, action.parent_id) == (
        "condition",
        ActionPhase.SUCCEEDED,
        "a0",
    )
    assert action.attrs["prompt"] == "Publish it?"
    assert action.attrs["by"]
    assert action.outputs is not None


def test_the_first_answer_stands_and_an_ended_run_takes_none(house: House, marks: str) -> None:
    run = house.start(asking.approve, marks)
    condition = asked(run, "publish")
    condition.signal("first")
    with pytest.raises(errors.ConditionFailedError, match=r"before.*first|has ended"):
        condition.signal("second")
    ended(run)
    assert run.outputs()[0] == "answer: first"
    with pytest.raises(errors.ConditionFailedError, match="has ended"):
        condition.signal("third")


def test_plain_functions_wait_too_and_answers_are_typed(house: House) -> None:
    run = house.start(asking.approve_sync)
    condition = asked(run, "limit")
    with pytest.raises(TypeError, match="wants a float"):
        condition.signal("much")
    condition.signal("2.5")
    ended(run).raise_for_status()
    assert run.outputs()[0] == 2.5


def test_the_command_line_lists_and_answers(
    house: House, marks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = house.start(asking.approve, marks)
    asked(run, "publish")

    def say(*words: str) -> tuple[int, str]:
        words = ("--store", str(house.store), "signal", *words)
        code = answer(words, Invocation(open_backend))
        return code, " ".join("".join(capsys.readouterr()).split())

    assert "Publish it?" in say(run.name)[1]
    code, text = say("condition", run.name, "publsh", "yes")
    assert code == 1
    assert "it asks 'publish'" in text
    code, text = say("condition", run.name, "publish", "fine")
    assert code == 0, text
    ended(run).raise_for_status()
    assert run.outputs()[0] == "answer: fine"


def test_a_later_attempt_is_not_asked_again(house: House, marks: str) -> None:
    run = house.start(asking.breaks_after, marks)
    asked(run, "count").signal(3)
    ended(run).raise_for_status()
    assert run.outputs()[0] == 3
    assert count(marks, "attempt") == 2
    assert len(Condition.listall(run.name)) == 1


def test_a_recovery_keeps_the_answer_of_the_run_it_recovers(house: House, marks: str) -> None:
    run = house.start(asking.approve, marks)
    asked(run, "publish").signal("once")
    ended(run).raise_for_status()
    again = house.rerun(run, recover=True)
    assert again.outputs()[0] == "answer: once"
    assert only(again, "publish").phase is ActionPhase.RECOVERED


def test_nobody_answers_in_time(house: House) -> None:
    run = house.finish(asking.in_vain)
    assert "Approve?" in run.outputs()[0]
    assert only(run, "never").phase is ActionPhase.TIMED_OUT


def test_a_run_that_is_aborted_leaves_no_question_open(house: House, marks: str) -> None:
    run = house.start(asking.approve, marks)
    condition = asked(run, "publish")
    run.abort("changed our mind")
    ended(run)
    assert only(run, "publish").phase is ActionPhase.ABORTED
    with pytest.raises(errors.ConditionFailedError):
        condition.signal("too late")


@pytest.mark.integration
def test_a_task_that_waits_lends_its_cpus(ray_house: House, marks: str) -> None:
    waiting = ray_house.start(asking.lends, marks)
    condition = asked(waiting, "go on")
    other = ray_house.finish(asking.needs_all_cpus, marks)
    other.raise_for_status()
    assert not waiting.done()
    condition.signal()
    ended(waiting).raise_for_status()
    assert waiting.outputs()[0] is True
