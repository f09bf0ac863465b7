"""Conditions as values: what may be asked, and what is an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.condition import ConditionWish, checked_answer, seconds_of


@pytest.mark.parametrize(
    ("kind", "given", "answer"),
    [
        (bool, True, True),
        (bool, "yes", True),
        (bool, "False", False),
        (int, 3, 3),
        (int, "3", 3),
        (float, 3, 3.0),
        (float, "2.5", 2.5),
        (str, "as it is ", "as it is "),
        (str, "12", "12"),
    ],
)
def test_answers_of_the_right_kind(kind: type, given: Any, answer: Any) -> None:
    found = checked_answer(ConditionWish(name="c", data_type=kind), given)
    assert (found, type(found)) == (answer, kind)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (bool, 1),
        (bool, "maybe"),
        (int, True),
        (int, 1.5),
        (int, "1.5"),
        (int, "true"),
        (float, "much"),
        (float, False),
        (str, 1),
        (str, None),
    ],
)
def test_answers_of_another_kind_are_refused(kind: type, given: Any) -> None:
    with pytest.raises(TypeError, match=f"'c' .*wants a {kind.__name__}"):
        checked_answer(ConditionWish(name="c", data_type=kind), given)


def test_wishes_are_checked_and_travel() -> None:
    wish = ConditionWish(name="c", prompt="How many?", data_type=int, timeout_s=5.0)
    assert ConditionWish.from_json({**wish.to_json(), "later": 1}) == wish
    with pytest.raises(TypeError, match="data_type"):
        ConditionWish(name="c", data_type=list)
    with pytest.raises(ValueError, match="timeout"):
        ConditionWish(name="c", timeout_s=0)
    with pytest.raises(ValueError, match="prompt_type"):
        ConditionWish(name="c", prompt_type="html")
    with pytest.raises(ValueError, match="name"):
        ConditionWish(name="")


def test_time_limits_are_seconds_or_timedeltas() -> None:
    assert seconds_of(timedelta(minutes=1)) == 60
    assert seconds_of(2.5) == 2.5
    assert seconds_of(None) is None
