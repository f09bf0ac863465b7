"""`rerun` and `abort` hand on what was asked."""

from __future__ import annotations

import pytest

from flyte_ray.core.model import ActionPhase
from tests.unit.cli.stand_in import FakeHouse, FakeRun, action_record, payload_json, run_record

Captured = pytest.CaptureFixture[str]


def house() -> FakeHouse:
    root = action_record("a0", None, inputs_json=payload_json(n=3, word="x", sizes=[1]))
    return FakeHouse(records=[run_record()], listed=[root])


def test_a_plain_rerun_changes_nothing() -> None:
    there = house()
    assert there.answer("rerun", "brisk-otter") == 0
    [(rerun, request)] = there.restarted
    assert (rerun.run_name, rerun.action_name) == ("brisk-otter", "a0")
    assert not rerun.recover
    assert rerun.inputs == {}
    assert request.options == {}


def test_recovery_and_its_options_are_handed_on() -> None:
    there = house()
    options = ["--recover", "--force-rerun-action", "x", "--force-rerun-action", "y"]
    more = ["--local", "--name", "r2", "--label", "k=v", "-e", "A=B", "--code", "stored"]
    assert there.answer("rerun", "brisk-otter", *options, *more) == 0
    [(rerun, request)] = there.restarted
    assert rerun.recover
    assert rerun.force_rerun_actions == ("x", "y")
    assert rerun.code == "stored"
    assert request.mode == "local"
    assert request.options == {"name": "r2", "labels": {"k": "v"}, "env_vars": {"A": "B"}}


def test_changed_inputs_are_typed_by_the_record() -> None:
    there = house()
    changes = ["--n", "4", "--word", "5", "--sizes=[2, 3]", "--fast", "--max-depth", "deep"]
    assert there.answer("rerun", "brisk-otter", *changes) == 0
    [(rerun, _)] = there.restarted
    assert rerun.inputs == {
        "n": 4,
        "word": "5",
        "sizes": [2, 3],
        "fast": True,
        "max_depth": "deep",
    }


@pytest.mark.parametrize("arguments", [["--n", "4", "brisk-otter"], ["brisk-otter", "4"]])
def test_inputs_that_cannot_be_told_apart_are_refused(arguments: list[str]) -> None:
    there = house()
    assert there.answer("rerun", *arguments) == 2
    assert there.restarted == []


def test_the_exit_code_of_a_rerun_is_the_new_runs_outcome() -> None:
    run = FakeRun(phase=ActionPhase.FAILED, error=ValueError("again"))
    assert FakeHouse(handle=run).answer("rerun", "brisk-otter", "--recover") == 1


@pytest.mark.parametrize("form", [["run", "brisk-otter"], ["brisk-otter"]])
def test_abort_takes_the_form_of_flyte_and_the_short_one(form: list[str]) -> None:
    there = FakeHouse(handle=FakeRun(phase=ActionPhase.RUNNING))
    assert there.answer("abort", *form, "--reason", "wrong data") == 0
    assert there.handle.asked == ["abort: wrong data"]


def test_a_run_that_has_ended_is_not_aborted(capsys: Captured) -> None:
    there = FakeHouse()
    assert there.answer("abort", "brisk-otter") == 0
    assert there.handle.asked == []
    assert "has ended already" in capsys.readouterr().err


def test_a_run_that_nobody_carries_is_closed(capsys: Captured) -> None:
    there = FakeHouse(handle=FakeRun(phase=ActionPhase.RUNNING), abandoned=["brisk-otter"])
    assert there.answer("abort", "brisk-otter") == 0
    said = capsys.readouterr().err
    assert "nobody any more" in said and "flyte-ray rerun brisk-otter --recover" in said


def test_an_unknown_run_cannot_be_aborted(capsys: Captured) -> None:
    there = FakeHouse(handle=FakeRun(phase=ActionPhase.RUNNING))
    assert there.answer("abort", "brisk-otter", "nobody") == 2
    assert "'nobody'" in capsys.readouterr().err
    assert there.handle.asked == []
