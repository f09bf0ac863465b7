"""What a script prints when an error ends it."""

from __future__ import annotations

import logging
import sys

import pytest

import flyte_ray as flyte
from flyte_ray.client import excepthook


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    try:
        flyte.run(len)  # type: ignore[arg-type]
    except TypeError as error:
        excepthook.print_error(type(error), error, error.__traceback__)
    return capsys.readouterr().err


@pytest.fixture
def _our_level() -> None:
    logging.getLogger("flyte_ray").setLevel(logging.WARNING)


@pytest.mark.usefixtures("_our_level")
def test_a_script_that_fails_shows_its_own_frames(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    assert "flyte.run(len)" in text
    assert "run() needs a task" in text
    assert "flyte_ray/client" not in text


def test_at_debug_level_everything_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("flyte_ray"), "level", logging.DEBUG)
    logging.getLogger("flyte_ray")._cache.clear()  # type: ignore[attr-defined]
    assert "flyte_ray/client/launch.py" in shown(capsys)


def test_hooks_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(*_: object) -> None: ...

    monkeypatch.setattr(sys, "excepthook", theirs)
    excepthook.install()
    assert sys.excepthook is theirs
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    excepthook.install()
    excepthook.install()
    assert sys.excepthook is excepthook.print_error
