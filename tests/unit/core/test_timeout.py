"""Time limits and their short forms."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.timeout import Timeout, normalise_timeout

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("given_", "limit"),
    [(None, None), (0, None), (timedelta(0), None), (60, MINUTE), (MINUTE, MINUTE)],
)
@pytest.mark.parametrize("name", ["max_runtime", "max_queued_time", "deadline"])
def test_limits_become_timedeltas_or_none(name: str, given_: Any, limit: timedelta | None) -> None:
    assert getattr(Timeout(**{name: given_}), name) == limit


@pytest.mark.parametrize("given_", ["5", 1.5, True, -1, -MINUTE, [1]])
@pytest.mark.parametrize("name", ["max_runtime", "max_queued_time", "deadline"])
def test_wrong_limits_are_refused_by_name(name: str, given_: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Timeout(**{name: given_})


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (None, Timeout()),
        (0, Timeout()),
        (30, Timeout(max_runtime=30)),
        (MINUTE, Timeout(max_runtime=MINUTE)),
        (Timeout(deadline=5), Timeout(deadline=5)),
    ],
)
def test_short_forms_of_timeout(given_: Any, expected: Timeout) -> None:
    assert normalise_timeout(given_) == expected


@pytest.mark.parametrize("given_", ["5", -1, object()])
def test_other_forms_of_timeout_are_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        normalise_timeout(given_)


def test_unlimited_is_said() -> None:
    assert Timeout(0, None, timedelta(0)).is_unlimited
    assert not Timeout(deadline=1).is_unlimited


def test_timeout_travels_and_can_be_replaced() -> None:
    timeout = Timeout(5, 6, 7)
    assert pickle.loads(pickle.dumps(timeout)) == timeout
    assert replace(timeout, deadline=None) == Timeout(5, 6)
