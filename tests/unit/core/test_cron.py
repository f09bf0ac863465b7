"""Cron expressions, field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.cron import parse_cron


@pytest.mark.parametrize(
    ("field", "minutes"),
    [
        ("*", set(range(60))),
        ("5", {5}),
        ("5,10,59", {5, 10, 59}),
        ("10-13", {10, 11, 12, 13}),
        ("*/20", {0, 20, 40}),
        ("10-30/10", {10, 20, 30}),
        ("50/4", {50, 54, 58}),
        ("0,30-31,*/45", {0, 30, 31, 45}),
    ],
)
def test_minutes(field: str, minutes: set[int]) -> None:
    assert parse_cron(f"{field} * * * *").minutes == minutes


def test_names_of_months_and_days() -> None:
    times = parse_cron("0 9 * jan-MAR mon-Fri")
    assert times.months == {1, 2, 3}
    assert times.weekdays == {1, 2, 3, 4, 5}


def test_sunday_is_zero_and_seven() -> None:
    assert parse_cron("0 0 * * 7").weekdays == parse_cron("0 0 * * sun").weekdays == {0}


def test_which_day_fields_are_restricted() -> None:
    times = parse_cron("0 0 1 * *")
    assert (times.any_day, times.any_weekday) == (False, True)


@pytest.mark.parametrize(
    ("shorthand", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_shorthands(shorthand: str, expression: str) -> None:
    assert parse_cron(shorthand) == parse_cron(expression)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("* * * * * *", "5 fields"),
        ("@reboot", "5 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * 32 * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * mon-foo", "day of week"),
        ("5-1 * * * *", "backwards"),
        ("*/0 * * * *", "step"),
        ("*-5 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
    ],
)
def test_wrong_expression_is_refused_by_field(expression: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_cron(expression)


@given(st.text(alphabet="*/-,0123456789 monjan@", max_size=20))
def test_any_text_is_read_or_refused(expression: str) -> None:
    try:
        times = parse_cron(expression)
    except ValueError as error:
        assert "cron" in str(error)
    else:
        assert times.minutes <= set(range(60))
        assert times.weekdays <= set(range(7))
        assert all((times.minutes, times.hours, times.days, times.months, times.weekdays))
