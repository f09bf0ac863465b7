"""`run FILE TASK`: help from the file, options from the signature, the run's end as exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flyte_ray.core.failure import from_exception, to_exception
from flyte_ray.core.model import ActionPhase
from flyte_ray.errors import InfeasibleResourcesError
from tests.unit.cli.stand_in import FakeHouse, FakeRun

Captured = pytest.CaptureFixture[str]

FLOW = '''
from flyte_ray.author.environment import TaskEnvironment

env = TaskEnvironment(name="flow")


@env.task
def step(x: int, name: str = "s") -> int:
    """Do one thing."""
    return x


@env.task
def main(n: int, rate: float = 0.5) -> int:
    """Do all things.

    Args:
        n: how many.
    """
    return n
'''


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[str]:
    path, modules = list(sys.path), set(sys.modules)
    file = tmp_path / "flow_under_test.py"
    file.write_text(FLOW)
    yield str(file)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_help_of_a_file_lists_its_tasks_with_their_first_lines(flow: str, capsys: Captured) -> None:
    house = FakeHouse()
    assert house.answer("run", flow, "--help") == 0
    words = capsys.readouterr().out.split()
    assert "Do one thing." in " ".join(words)
    assert words.index("step") < words.index("main")
    assert house.opened_with is None


def test_help_of_a_task_lists_its_inputs(flow: str, capsys: Captured) -> None:
    assert FakeHouse().answer("run", flow, "main", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--n INTEGER how many. [required]" in text
    assert "--rate FLOAT [default: 0.5]" in text


def test_inputs_are_handed_on_by_name(flow: str) -> None:
    house = FakeHouse()
    assert house.answer("run", flow, "main", "--n", "3") == 0
    [(task, inputs, request)] = house.started
    assert (task, inputs) == ("flow.main", {"n": 3})
    assert request.mode is None
    assert request.options == {}


def test_options_of_the_run_may_stand_at_each_of_the_three_places(flow: str) -> None:
    house = FakeHouse()
    before = ["--name", "r1", "--label", "a=1", "-e", "K=V=W"]
    between = ["--label", "b=2", "--overwrite-cache"]
    behind = ["--local", "--label", "a=3", "--name", "r2"]
    assert house.answer("run", *before, flow, *between, "main", "--n", "1", *behind) == 0
    [(_, _, request)] = house.started
    assert request.mode == "local"
    assert request.options == {
        "name": "r2",
        "labels": {"a": "3", "b": "2"},
        "env_vars": {"K": "V=W"},
        "overwrite_cache": True,
    }


def test_behind_the_task_an_input_goes_before_an_option_of_the_same_name(flow: str) -> None:
    house = FakeHouse()
    assert house.answer("run", "--name", "r1", flow, "step", "--x", "1", "--name", "n") == 0
    [(_, inputs, request)] = house.started
    assert inputs == {"x": 1, "name": "n"}
    assert request.options == {"name": "r1"}


def test_name_and_url_come_first_and_outputs_last(flow: str, capsys: Captured) -> None:
    assert FakeHouse().answer("run", flow, "main", "--n", "1") == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == "brisk-otter: /store/runs/brisk-otter"
    assert "42" in printed.out
    assert "1 ran · 2 cached" in printed.out
    assert "flyte-ray get actions brisk-otter" in printed.out


def test_a_failed_run_exits_with_1_and_says_how_to_go_on(flow: str, capsys: Captured) -> None:
    run = FakeRun(phase=ActionPhase.FAILED, error=ValueError("item 847 is bad"))
    assert FakeHouse(handle=run).answer("run", flow, "main", "--n", "1") == 1
    printed = capsys.readouterr()
    assert "ValueError: item 847 is bad" in printed.err
    assert "flyte-ray rerun brisk-otter --recover" in printed.out
    assert "flyte-ray get logs brisk-otter a7x" in printed.out


def test_ctrl_c_exits_with_130(flow: str, capsys: Captured) -> None:
    house = FakeHouse(handle=FakeRun(interrupted=True, phase=ActionPhase.ABORTED))
    assert house.answer("run", flow, "main", "--n", "1") == 130
    assert capsys.readouterr().err == "", "the handle has said what became of the run"
    house = FakeHouse(handle=FakeRun(interrupted=True, phase=ActionPhase.RUNNING))
    assert house.answer("run", flow, "main", "--n", "1") == 130
    assert "flyte-ray get run brisk-otter" in capsys.readouterr().err


def test_a_failure_is_shown_where_it_was_raised(flow: str, capsys: Captured) -> None:
    def broken() -> None:
        raise ValueError("item 847 is bad")

    with pytest.raises(ValueError) as raised:
        broken()
    seen = to_exception(from_exception(raised.value))
    house = FakeHouse(handle=FakeRun(error=seen, phase=ActionPhase.FAILED))
    assert house.answer("run", flow, "main", "--n", "1") == 1
    printed = capsys.readouterr()
    assert "in broken" in printed.err and "ValueError: item 847 is bad" in printed.err
    assert house.answer("run", flow, "main", "--n", "1", "-o", "json") == 1
    assert json.loads(capsys.readouterr().out)["error"] == "ValueError: item 847 is bad"


def test_a_run_that_outlives_us_is_only_named(flow: str, capsys: Captured) -> None:
    house = FakeHouse(attached=True)
    assert house.answer("run", flow, "main", "--n", "1") == 0
    printed = capsys.readouterr()
    assert printed.out == "brisk-otter\n"
    assert "flyte-ray get run brisk-otter --follow" in printed.err
    assert house.handle.asked == []


def test_following_waits_for_a_run_that_would_outlive_us(flow: str) -> None:
    house = FakeHouse(attached=True)
    assert house.answer("run", "-f", flow, "main", "--n", "1") == 0
    assert house.handle.asked == ["wait quiet=False"]


@pytest.mark.parametrize("place", ["global", "run", "task"])
def test_no_progress_is_quiet_but_names_the_run(flow: str, place: str, capsys: Captured) -> None:
    house = FakeHouse()
    spot = {name: ["--no-progress"] if name == place else [] for name in ("global", "run", "task")}
    arguments = [*spot["global"], "run", *spot["run"], flow, "main", "--n", "1", *spot["task"]]
    assert house.answer(*arguments) == 0
    assert house.handle.asked == ["wait quiet=True"]
    assert capsys.readouterr().err.splitlines() == ["brisk-otter  /store/runs/brisk-otter"]


@dataclass
class Score:
    value: float


def test_outputs_of_the_authors_own_types_are_plain_json(flow: str, capsys: Captured) -> None:
    house = FakeHouse(handle=FakeRun(named_outputs={"o0": Score(0.5)}))
    assert house.answer("run", flow, "main", "--n", "1", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"o0": {"value": 0.5}}


def test_long_outputs_are_cut_for_people(flow: str, capsys: Captured) -> None:
    house = FakeHouse(handle=FakeRun(named_outputs={"o0": "x" * 9000}))
    assert house.answer("run", flow, "main", "--n", "1") == 0
    assert capsys.readouterr().out.count("x") < 600


def test_json_is_all_there_is_on_stdout(flow: str, capsys: Captured) -> None:
    house = FakeHouse(handle=FakeRun(prints="a task prints"))
    assert house.answer("run", flow, "main", "--n", "1", "-o", "json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["name"] == "brisk-otter"
    assert document["phase"] == "succeeded"
    assert document["outputs"] == {"o0": 42}
    assert document["actions"]["cached"] == 2
    assert "a task prints" in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["main"], "--n"),
        (["main", "--n", "x"], "'x' is no whole number"),
        (["main", "--n", "1", "--m", "2"], "--m"),
        (["mian", "--n", "1"], "Did you mean 'main'"),
        (["main", "--n", "1", "--label", "nolabel"], "KEY=VALUE"),
    ],
)
def test_bad_input_is_told_before_anything_starts(
    flow: str, arguments: list[str], words: str, capsys: Captured
) -> None:
    house = FakeHouse()
    assert house.answer("run", flow, *arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert house.opened_with is None


def test_a_file_without_tasks_says_so(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "no_tasks_here.py").write_text("x = 1\n")
    assert FakeHouse().answer("run", str(tmp_path / "no_tasks_here.py"), "main") == 2
    assert "defines no task" in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_not_there_says_so(capsys: Captured) -> None:
    assert FakeHouse().answer("run", "nowhere.py", "main") == 2
    assert "nowhere.py" in capsys.readouterr().err


def test_an_impossible_request_is_a_wrong_call(flow: str, capsys: Captured) -> None:
    house = FakeHouse(refuses=InfeasibleResourcesError("asks for 99 GPUs", task="flow.main"))
    assert house.answer("run", flow, "main", "--n", "1") == 2
    assert "asks for 99 GPUs" in capsys.readouterr().err


def test_options_without_a_meaning_here_are_passed_over_aloud(flow: str, capsys: Captured) -> None:
    house = FakeHouse()
    assert house.answer("run", "--image", "x:1", "--tui", flow, "main", "--n", "1") == 0
    assert house.started[0][2].options == {}
    assert "--image means nothing here" in capsys.readouterr().err
