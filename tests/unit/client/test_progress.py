"""Watching ends with the run; plain lines are few; the view is bounded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from flyte_ray.client.progress import (
    PlainLines,
    describe_seconds,
    describe_url,
    follow,
    plain_line,
)
from flyte_ray.client.progress_view import MOST_ROWS, bar, draw
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.progress import Counts, Progress, RecentFailure

RUN = RunName("brisk-otter")
FAILURE = RecentFailure(task="env.analyse", action_id=ActionId("a7"), message="ValueError: 847")


def look(phase: ActionPhase, elapsed_s: float = 0.0, **tasks: Counts) -> Progress:
    named = {f"env.{name}": counts for name, counts in tasks.items()}
    return Progress(run=RUN, phase=phase, elapsed_s=elapsed_s, tasks=named, root_task="env.main")


class ScriptedRun:
    """A run that shows one look after the other."""

    name = str(RUN)
    url = "/store/runs/brisk-otter"

    def __init__(self, looks: Sequence[Progress]) -> None:
        self.looks = list(looks)

    def progress(self) -> Progress:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


LOOKS = [
    look(ActionPhase.QUEUED, main=Counts(queued=1)),
    look(ActionPhase.RUNNING, 1.0, main=Counts(running=1), analyse=Counts(queued=3)),
    look(ActionPhase.RUNNING, 2.5, main=Counts(running=1), analyse=Counts(running=2, succeeded=1)),
    look(ActionPhase.RUNNING, 5.0, main=Counts(running=1), analyse=Counts(running=2, succeeded=1)),
    look(ActionPhase.SUCCEEDED, 5.1, main=Counts(succeeded=1), analyse=Counts(succeeded=3)),
]


def plain(looks: Sequence[Progress]) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=100)
    follow(ScriptedRun(looks), console=console, pause=lambda _s: None)
    return out.getvalue().splitlines()


def test_following_ends_with_the_run_even_if_its_looks_never_do() -> None:
    last = follow(ScriptedRun([LOOKS[1]]), quiet=True, pause=lambda _s: True)
    assert last.phase is ActionPhase.RUNNING


AWAY = replace(look(ActionPhase.RUNNING, 3.0), notice="waits for the store: no answer")


def test_what_holds_a_run_up_is_said_once_in_plain_lines() -> None:
    lines = plain([LOOKS[1], AWAY, replace(AWAY, elapsed_s=3.5), LOOKS[3], LOOKS[-1]])
    assert [line for line in lines if "waits for the store" in line] == [
        f"{RUN}: waits for the store: no answer"
    ]


def test_what_holds_a_run_up_stands_in_the_view() -> None:
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as shown:
        console.print(draw(AWAY, "/store"))
    assert "! waits for the store: no answer" in shown.get()


def test_following_returns_the_last_look() -> None:
    pauses: list[float] = []
    last = follow(ScriptedRun(LOOKS), quiet=True, pause=pauses.append)
    assert last is LOOKS[-1]
    assert len(pauses) == len(LOOKS) - 1


def test_plain_lines_begin_with_the_name_and_url_and_end_with_the_end() -> None:
    lines = plain(LOOKS)
    assert lines[0] == "brisk-otter: /store/runs/brisk-otter"
    assert lines[-1] == "brisk-otter: succeeded after 5.1 s: 4 of 4 done"


def test_plain_lines_come_only_when_something_changed_and_not_too_often() -> None:
    assert [line.split(":")[1].strip() for line in plain(LOOKS)[1:]] == [
        "queued after 0 ms",
        "running after 2.5 s",
        "succeeded after 5.1 s",
    ]


def test_each_failure_is_told_once() -> None:
    out = io.StringIO()
    lines = PlainLines("url", out)
    failed = Progress(run=RUN, phase=ActionPhase.RUNNING, failures=(FAILURE,))
    with lines as shown:
        shown.show(failed)
        shown.show(failed)
    assert out.getvalue().count("env.analyse (a7) failed: ValueError: 847") == 1


def test_a_plain_line_names_the_tasks_that_are_under_way() -> None:
    line = plain_line(
        look(
            ActionPhase.RUNNING,
            12.3,
            main=Counts(running=1),
            analyse=Counts(succeeded=8, failed=1, running=1),
            done=Counts(cached=2),
        )
    )
    assert line == (
        "brisk-otter: running after 12.3 s: 11 of 13 done, 1 failed, 2 running, 2 cached "
        "(analyse 9/10)"
    )


def test_the_live_view_follows_to_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    follow(ScriptedRun(LOOKS), console=console, pause=lambda _s: None)
    assert "succeeded  5.1 s" in out.getvalue()
    assert "3/3" in out.getvalue()


def test_a_view_that_is_interrupted_does_not_go_on_turning() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)

    def interrupt(_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(ScriptedRun(LOOKS[1:]), console=console, pause=interrupt)
    left = out.getvalue().rpartition("\x1b[2K")[2]
    assert "● brisk-otter  running" in left
    assert "! no longer watched" in left


def drawn(progress: Progress, *, unicode: bool = True, width: int = 100) -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(draw(progress, "/store/x", unicode=unicode, width=width))
    return console.export_text()


def test_the_view_shows_header_bars_and_failures() -> None:
    progress = Progress(
        run=RUN,
        phase=ActionPhase.RUNNING,
        elapsed_s=61,
        root_task="env.main",
        tasks={"env.main": Counts(running=1), "env.analyse": Counts(succeeded=5, failed=1)},
        failures=(FAILURE,),
    )
    header, row, failure = drawn(progress).splitlines()
    assert header.split() == ["●", RUN, "running", "1", "min", "01", "s", "/store/x"]
    assert row.split()[0] == "analyse"
    assert "6/6  1 failed" in row
    assert failure.split() == ["✗", "analyse", "a7", "ValueError:", "847"]


def test_failures_stand_out_and_long_names_leave_room_for_the_message() -> None:
    failure = replace(FAILURE, task="env." + "very_long_name_" * 4)
    tasks = {"env.main": Counts(running=1), failure.task: Counts(failed=1, running=2)}
    console = Console(file=io.StringIO(), record=True, width=60, force_terminal=True)
    looked = Progress(
        run=RUN, phase=ActionPhase.RUNNING, root_task="env.main", tasks=tasks, failures=(failure,)
    )
    console.print(draw(looked, "/store", width=60))
    text = console.export_text(styles=True)
    assert "\x1b[31m1 failed\x1b[0m" in text
    assert "ValueError: 847" in text


def test_on_a_narrow_terminal_the_figures_stay() -> None:
    row = drawn(LOOKS[2], width=34).splitlines()[-1]
    assert row.split()[0] == "analyse" and "1/3" in row


def test_a_run_of_one_task_shows_its_root() -> None:
    progress = look(ActionPhase.RUNNING, main=Counts(running=1))
    assert "main" in drawn(progress).splitlines()[1]


def test_a_terminal_without_unicode_gets_plain_letters() -> None:
    assert drawn(LOOKS[-1], unicode=False).isascii()
    assert drawn(replace(AWAY, notice="long " * 40), unicode=False, width=40).isascii()


def test_many_tasks_are_summed_up_those_under_way_first() -> None:
    tasks = {f"t{number}": Counts(succeeded=1) for number in range(30)} | {
        "late": Counts(running=1)
    }
    lines = drawn(look(ActionPhase.RUNNING, **tasks)).splitlines()
    assert len(lines) == 1 + MOST_ROWS
    assert any("late" in line for line in lines)
    assert "other tasks" in lines[-1]
    assert "20/20" in lines[-1]


def test_no_line_is_wider_than_the_terminal() -> None:
    progress = look(ActionPhase.RUNNING, analyse=Counts(running=12, queued=141, cached=300))
    assert all(len(line) <= 60 for line in drawn(progress, width=60).splitlines())


@pytest.mark.parametrize(
    "counts",
    [
        Counts(succeeded=1000, failed=1),
        Counts(running=1, queued=9999),
        Counts(succeeded=1, cached=1, failed=1, running=1),
        Counts(),
    ],
)
def test_a_bar_has_its_width_and_hides_no_failure(counts: Counts) -> None:
    picture = bar(counts, width=10)
    assert len(picture) == 10
    styles = {str(span.style) for span in picture.spans}
    assert ("red" in styles) == bool(counts.failed)
    assert ("blue" in styles) == bool(counts.running)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.85, "850 ms"), (12.34, "12.3 s"), (245, "4 min 05 s"), (7380, "2 h 03 min")],
)
def test_seconds_are_told_in_fitting_units(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text


def test_places_below_the_home_folder_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert describe_url("/home/ada/.flyte_ray/store/runs/r1") == "~/.flyte_ray/store/runs/r1"
    assert describe_url("/home/adam/store") == "/home/adam/store"
    assert describe_url("gs://bucket/runs/r1") == "gs://bucket/runs/r1"
