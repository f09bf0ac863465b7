"""What the record says, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from flyte_ray.client.config import Settings
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.fold import ActionRecord
from tests.unit.cli.stand_in import (
    FakeHouse,
    action_record,
    attempt_record,
    error_json,
    payload_json,
    run_record,
)

Captured = pytest.CaptureFixture[str]

ROOT = action_record("a0", None, task="env.main")
FAILED = action_record(
    "xyfailed1234",
    phase=ActionPhase.FAILED,
    error=error_json("ValueError", "item 847 is bad\nmore"),
    attempts=(attempt_record(1, phase=ActionPhase.FAILED), attempt_record(2)),
)
MANY = [action_record(f"same{number:04d}") for number in range(25)]


def house(*actions: ActionRecord, **more: Any) -> FakeHouse:
    records = more.pop("records", [run_record()])
    return FakeHouse(records=records, listed=actions or (ROOT,), **more)


def asked(there: FakeHouse, capsys: Captured, *arguments: str) -> str:
    assert there.answer("get", *arguments) == 0
    return capsys.readouterr().out


def asked_json(there: FakeHouse, capsys: Captured, *arguments: str) -> Any:
    return json.loads(asked(there, capsys, *arguments, "-o", "json"))


@pytest.mark.parametrize("noun", ["runs", "run"])
def test_runs_are_listed_under_both_numbers(noun: str, capsys: Captured) -> None:
    text = asked(house(), capsys, noun)
    assert all(word in text for word in ("brisk-otter", "env.main", "succeeded", "3/3", "2.0 s"))


def test_runs_can_be_filtered(capsys: Captured) -> None:
    records = [
        run_record("one", phase=ActionPhase.FAILED, labels={"k": "v"}),
        run_record("two", phase=ActionPhase.FAILED, task="env.other"),
        run_record("three"),
    ]
    there = house(records=records)

    def names(*filters: str) -> list[str]:
        return [row["name"] for row in asked_json(there, capsys, "runs", *filters)]

    assert names() == ["one", "two", "three"]
    assert names("--limit", "1") == ["one"]
    assert names("--in-phase", "failed") == ["one", "two"]
    assert names("--in-phase", "failed", "--with-label", "k=v") == ["one"]
    assert names("--task-name", "other") == ["two"]
    assert names("--task-name", "env.main", "--limit", "1") == ["one"]


def test_no_runs_at_all_says_how_to_start_one(capsys: Captured) -> None:
    there = FakeHouse()
    assert there.answer("get", "runs") == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "flyte-ray run" in printed.err


def test_json_raw_is_one_line(capsys: Captured) -> None:
    text = asked(house(), capsys, "runs", "-o", "json-raw")
    assert len(text.splitlines()) == 1
    assert json.loads(text)[0]["phase"] == "succeeded"


def test_a_narrow_screen_goes_without_what_says_least(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = house(records=[run_record("20261126-200205-zwr5p", labels={"team": "blue"})])
    wide = asked(there, capsys, "runs")
    assert "labels" in wide.splitlines()[0]
    monkeypatch.setenv("COLUMNS", "60")
    narrow = asked(there, capsys, "runs")
    assert narrow.splitlines()[0].split()[:3] == ["name", "task", "phase"]
    assert "env.main" in narrow and "20261126-200205-zwr5p" in narrow
    assert "labels" not in narrow and "started" not in narrow


def test_logs_of_a_failed_attempt_end_with_its_traceback(capsys: Captured) -> None:
    there = house(ROOT, FAILED, logs={("xyfailed1234", None): "computing\n"})
    assert there.answer("get", "logs", "brisk-otter", "xyf") == 0
    printed = capsys.readouterr()
    assert printed.out == "computing\n"
    assert "ValueError: item 847 is bad" in printed.err


def test_table_simple_has_no_frame(capsys: Captured) -> None:
    assert "─" not in asked(house(), capsys, "runs", "-o", "table-simple")


def test_one_run_is_shown_with_its_error(capsys: Captured) -> None:
    record = run_record(phase=ActionPhase.FAILED, error=error_json("ValueError", "bad"))
    text = asked(house(records=[record]), capsys, "run", "brisk-otter")
    assert "ValueError: bad" in text


def test_who_follows_a_run_that_nobody_carries_is_told_what_to_do(capsys: Captured) -> None:
    there = house()
    there.handle.notice = "no sign of life for 42.0 s: flyte-ray rerun brisk-otter --recover"
    assert there.answer("--no-progress", "get", "run", "brisk-otter", "--follow") == 0
    assert f"brisk-otter: {there.handle.notice}" in " ".join(capsys.readouterr().err.split())


def test_a_run_can_be_followed(capsys: Captured) -> None:
    there = house()
    assert there.answer("get", "run", "brisk-otter", "--follow") == 0
    assert there.handle.asked == ["wait quiet=False"]


def test_an_unknown_run_is_a_wrong_call(capsys: Captured) -> None:
    assert house().answer("get", "actions", "nobody") == 2
    assert "'nobody'" in capsys.readouterr().err


def test_actions_are_a_tree_with_many_equals_as_one_line(capsys: Captured) -> None:
    lines = asked(house(ROOT, *MANY, FAILED), capsys, "actions", "brisk-otter").splitlines()
    assert lines[0].split() == ["brisk-otter", "succeeded"]
    assert "main" in lines[1]
    assert "25 succeeded" in lines[2]
    assert all(word in lines[3] for word in ("xyfailed12", "2 attempts", "ValueError: item 847"))
    assert len(lines) == 4


def test_the_whole_tree_is_shown_on_request(capsys: Captured) -> None:
    text = asked(house(ROOT, *MANY), capsys, "actions", "brisk-otter", "--all")
    assert len(text.splitlines()) == 2 + len(MANY)


def test_different_groups_and_cached_actions_are_kept_apart(capsys: Captured) -> None:
    actions = [
        ROOT,
        *(action_record(f"g{n}", attrs={"group": "first"}) for n in range(21)),
        *(action_record(f"c{n}", cached=True) for n in range(21)),
    ]
    text = asked(house(*actions), capsys, "actions", "brisk-otter")
    assert "21 succeeded  [first]" in text
    assert "21 succeeded  cached" in text


def test_children_of_an_unrecorded_parent_are_shown_at_the_top(capsys: Captured) -> None:
    text = asked(house(action_record("orphan", "gone")), capsys, "actions", "brisk-otter")
    assert "orphan" in text


def test_actions_as_json_have_whole_ids(capsys: Captured) -> None:
    rows = asked_json(house(ROOT, FAILED), capsys, "actions", "brisk-otter")
    assert [row["id"] for row in rows] == ["a0", "xyfailed1234"]
    assert rows[1]["error"] == "ValueError: item 847 is bad"


def test_actions_in_a_phase_are_a_list(capsys: Captured) -> None:
    rows = asked_json(house(ROOT, FAILED), capsys, "actions", "brisk-otter", "--in-phase", "failed")
    assert [row["id"] for row in rows] == ["xyfailed1234"]


def test_an_action_is_found_by_the_beginning_of_its_id(capsys: Captured) -> None:
    document = asked_json(house(ROOT, FAILED), capsys, "action", "brisk-otter", "xyf")
    assert document["id"] == "xyfailed1234"
    assert [each["attempt"] for each in document["attempt_list"]] == [1, 2]


@pytest.mark.parametrize(("beginning", "words"), [("q", "no action"), ("same", "25 actions")])
def test_an_ambiguous_or_unknown_action_is_refused(
    beginning: str, words: str, capsys: Captured
) -> None:
    assert house(ROOT, *MANY).answer("get", "action", "brisk-otter", beginning) == 2
    assert words in capsys.readouterr().err


WITH_VALUES = action_record(
    "a0",
    None,
    inputs_json=payload_json(n=3, name="x"),
    outputs_json=payload_json(o0=[1, 2], o1="key:values/abc"),
)


def test_values_are_shown_as_recorded(capsys: Captured) -> None:
    text = asked(house(WITH_VALUES), capsys, "io", "brisk-otter")
    assert "[1, 2]" in text
    assert "values/abc (9 bytes)" in text


@pytest.mark.parametrize(
    ("options", "sides"),
    [([], ["inputs", "outputs"]), (["-i"], ["inputs"]), (["--outputs-only"], ["outputs"])],
)
def test_values_as_json(options: Sequence[str], sides: list[str], capsys: Captured) -> None:
    document = asked_json(house(WITH_VALUES), capsys, "io", "brisk-otter", "a0", *options)
    assert list(document) == sides
    if "inputs" in document:
        assert document["inputs"] == {"n": 3, "name": "x"}
    if "outputs" in document:
        assert document["outputs"]["o0"] == [1, 2]
        assert document["outputs"]["o1"]["key"] == "values/abc"


def test_logs_are_printed_as_they_are(capsys: Captured) -> None:
    there = house(ROOT, FAILED, logs={("a0", None): "one\ntwo\nthree\n", ("xyfailed1234", 2): "x"})
    assert asked(there, capsys, "logs", "brisk-otter") == "one\ntwo\nthree\n"
    assert asked(there, capsys, "logs", "brisk-otter", "--lines", "2") == "two\nthree\n"
    assert asked(there, capsys, "logs", "brisk-otter", "xyf", "-a", "2") == "x\n"


def test_an_attempt_that_never_was_is_refused(capsys: Captured) -> None:
    assert house(ROOT).answer("get", "logs", "brisk-otter", "-a", "9") == 2
    assert "no attempt 9; it has 1" in " ".join(capsys.readouterr().err.split())


def test_silence_is_told(capsys: Captured) -> None:
    assert house(ROOT).answer("get", "logs", "brisk-otter") == 0
    assert "printed nothing" in capsys.readouterr().err


def test_the_configuration_is_shown_with_origins(capsys: Captured) -> None:
    settings = Settings(store="/s", origins={"store": "environment FLYTE_RAY_STORE"})
    rows = asked_json(house(settings=settings), capsys, "config")
    by_name = {row["setting"]: row for row in rows}
    assert by_name["store"]["from"] == "environment FLYTE_RAY_STORE"
    assert by_name["namespace"]["from"] == "default"
