"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flyte_ray.cli.moments import parse_day, parse_duration, parse_moment

NOW = datetime(2026, 5, 1, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P1D", 86400),
        ("PT1H30M", 5400),
        ("-P1W", -604800),
        ("1:24", 84),
        ("1:30:00", 5400),
        ("10 minutes", 600),
        ("1 day, 2 hours and 3 s", 93603),
        ("2h30m", 9000),
        ("250ms", 0.25),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "5 parsecs", "10", "soon"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("NOW - P1D", datetime(2026, 4, 30, 10, 30, tzinfo=UTC)),
        ("now+2 hours", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
        ("today", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:00+02:00", datetime(2026, 1, 2, 1, tzinfo=UTC)),
    ],
)
def test_moments_are_read_and_know_their_zone(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["tomorrow-ish", "now - x", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        parse_moment(text, NOW)


def test_days_are_read() -> None:
    assert parse_day("2026-02-03", NOW) == date(2026, 2, 3)
    assert parse_day("today - 1 day", NOW) == date(2026, 4, 30)
