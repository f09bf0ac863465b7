from __future__ import annotations

import os

import pytest

from flyte_ray.engine.environ import applied

NAME = "FLYTE_RAY_TEST_VARIABLE"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)


def test_a_variable_is_set_inside_and_gone_after() -> None:
    with applied({NAME: "1"}):
        assert os.environ[NAME] == "1"
    assert NAME not in os.environ


def test_what_was_there_before_is_back_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "before")
    with applied({NAME: "inside"}):
        assert os.environ[NAME] == "inside"
    assert os.environ[NAME] == "before"


def test_it_stays_until_the_last_of_several_users_has_left() -> None:
    first, second = applied({NAME: "1"}), applied({NAME: "1"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ[NAME] == "1"
    second.__exit__(None, None, None)
    assert NAME not in os.environ


def test_the_later_of_two_values_is_seen_and_the_first_state_comes_back() -> None:
    with applied({NAME: "one"}), applied({NAME: "two"}):
        assert os.environ[NAME] == "two"
    assert NAME not in os.environ


def test_it_is_put_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="oops"), applied({NAME: "1"}):
        raise ValueError("oops")
    assert NAME not in os.environ
