"""Retries and their pauses."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.retry import DEFAULT_BACKOFF, Backoff, RetryStrategy, normalise_retries

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff(SECOND), [1, 1, 1]),
        (Backoff(SECOND, 2, 5 * SECOND), [1, 2, 4, 5, 5]),
        (Backoff(SECOND, 1.5, timedelta(minutes=1)), [1, 1.5, 2.25]),
        (Backoff(3 * SECOND, cap=2 * SECOND), [2, 2]),
        (Backoff(timedelta(0), 2, SECOND), [0, 0, 0]),
    ],
)
def test_delay_grows_by_the_factor_up_to_the_cap(backoff: Backoff, delays: list[float]) -> None:
    seconds = [backoff.compute_delay(n).total_seconds() for n in range(len(delays))]
    assert seconds == delays


@given(
    st.floats(1, 1e6, allow_nan=False), st.integers(0, 10**6), st.timedeltas(min_value=timedelta(0))
)
def test_delay_never_exceeds_the_cap_and_never_shrinks(
    factor: float, n: int, base: timedelta
) -> None:
    cap = timedelta(hours=1)
    backoff = Backoff(base, factor, cap)
    assert timedelta(0) <= backoff.compute_delay(n) <= backoff.compute_delay(n + 1) <= cap


def test_negative_retry_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        Backoff(SECOND).compute_delay(-1)


@pytest.mark.parametrize(
    "arguments",
    [
        (-SECOND,),
        (1.0,),
        (SECOND, 0.5),
        (SECOND, float("inf"), SECOND),
        (SECOND, float("nan"), SECOND),
        (SECOND, True),
        (SECOND, "2"),
        (SECOND, 2.0),
        (SECOND, 2.0, -SECOND),
        (SECOND, 2.0, 5),
    ],
)
def test_malformed_backoff_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="Backoff"):
        Backoff(*arguments)


@pytest.mark.parametrize("count", [-1, 1.0, "3", None, True])
def test_malformed_count_is_refused(count: Any) -> None:
    with pytest.raises(ValueError, match="retries"):
        RetryStrategy(count)


def test_backoff_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="Backoff"):
        RetryStrategy(1, backoff=2.0)  # type: ignore[arg-type]


def test_strategy_without_backoff_waits_a_little_longer_each_time() -> None:
    delays = [RetryStrategy(9).delay(n) for n in range(12)]
    assert delays[:3] == [0.1, 0.2, 0.4]
    assert delays[-1] == DEFAULT_BACKOFF.cap.total_seconds()  # type: ignore[union-attr]


def test_strategy_uses_its_own_backoff() -> None:
    assert RetryStrategy(1, Backoff(timedelta(0))).delay(0) == 0.0


@pytest.mark.parametrize(("given_", "count"), [(None, 0), (0, 0), (3, 3), (RetryStrategy(2), 2)])
def test_short_forms_of_retries(given_: Any, count: int) -> None:
    assert normalise_retries(given_).count == count


@pytest.mark.parametrize("given_", [-1, "3", 2.5, True])
def test_other_forms_of_retries_are_refused(given_: Any) -> None:
    with pytest.raises(ValueError, match="retries"):
        normalise_retries(given_)


def test_strategy_travels() -> None:
    strategy = RetryStrategy(3, Backoff(SECOND, 2, 9 * SECOND))
    assert pickle.loads(pickle.dumps(strategy)) == strategy
