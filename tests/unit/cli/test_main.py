"""Global options reach the house; errors become one panel and an exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flyte_ray.cli.backend import GlobalOptions, Invocation
from flyte_ray.cli.main import answer
from flyte_ray.errors import ConfigurationError, StoreError
from tests.unit.cli.stand_in import FakeHouse

Captured = pytest.CaptureFixture[str]


def failing(error: BaseException) -> Invocation:
    def refuse(_options: GlobalOptions) -> FakeHouse:
        raise error

    return Invocation(refuse)


def test_help_lists_the_verbs_and_opens_nothing(capsys: Captured) -> None:
    assert answer(["--help"], failing(AssertionError("opened"))) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("run", "rerun", "get", "abort"))


def test_help_imports_neither_ray_nor_pyarrow_nor_pydantic() -> None:
    script = (
        "import sys; from flyte_ray.cli.main import answer, Invocation, open_backend; "
        "answer(['--help'], Invocation(open_backend)); "
        "print(*(m for m in ('ray', 'pyarrow', 'pydantic') if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == []


def test_the_version_is_printed(capsys: Captured) -> None:
    assert answer(["--version"], failing(AssertionError())) == 0
    assert capsys.readouterr().out.startswith("flyte-ray ")


def test_global_options_become_settings() -> None:
    house = FakeHouse()
    code = house.answer(
        "-vv", "-c", "f.yaml", "--store", "/s", "--address", "auto", "get", "config"
    )
    assert code == 0
    assert house.opened_with is not None
    assert house.opened_with.config == "f.yaml"
    assert house.opened_with.settings == {"store": "/s", "address": "auto", "log_level": "DEBUG"}


def test_global_options_of_flyte_are_accepted() -> None:
    house = FakeHouse()
    options = ["--endpoint", "dns:///x", "--insecure", "--org", "o", "--builder", "local"]
    assert house.answer(*options, "get", "config") == 0


@pytest.mark.parametrize("arguments", [["frobnicate"], ["get", "nothing"], ["--nonsense"]])
def test_a_wrong_call_exits_with_2(arguments: list[str], capsys: Captured) -> None:
    assert FakeHouse().answer(*arguments) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "title"),
    [
        (ConfigurationError("no such setting"), 2, "ConfigurationError"),
        (StoreError("away"), 1, "StoreError"),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "Stopped"),
    ],
)
def test_errors_become_a_panel_and_an_exit_code(
    error: BaseException, code: int, title: str, capsys: Captured
) -> None:
    assert answer(["get", "config"], failing(error)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert title in printed.err
    assert str(error) in printed.err
    assert "Traceback" not in printed.err


def test_verbose_shows_the_traceback(capsys: Captured) -> None:
    assert answer(["-v", "get", "config"], failing(StoreError("away"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_brackets_in_a_message_are_printed_as_they_are(capsys: Captured) -> None:
    answer(["get", "config"], failing(StoreError("list[int] and [bold]x[/]")))
    assert "list[int] and [bold]x[/]" in capsys.readouterr().err


def test_a_mistyped_verb_is_told_the_nearest_one(capsys: Captured) -> None:
    assert answer(["rnu", "flow.py"], failing(AssertionError("opened"))) == 2
    assert "There is no command 'rnu'. Did you mean 'run'?" in capsys.readouterr().err
    assert answer(["whoami"], failing(AssertionError("opened"))) == 2
    assert "no command 'whoami'" in capsys.readouterr().err
