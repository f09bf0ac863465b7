"""Reads cron expressions: five fields, or a shorthand such as "@daily".

Fields: minute hour day-of-month month day-of-week; each `*`, a number or name, `a-b`, any of them
with `/step`, or a list of these. Sunday is 0 and 7. Source: crontab(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_DAYS = "sun mon tue wed thu fri sat".split()  # noqa: SIM905
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: place for place, name in enumerate(_MONTHS, start=1)}),
    _Field("day of week", 0, 7, {name: place for place, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronTimes:
    """The minutes of a calendar that an expression names."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 (Sunday) to 6."""
    any_day: bool
    """The day of month starts with `*`. If neither day field does, a day that fits either fires."""
    any_weekday: bool


def parse_cron(expression: str) -> CronTimes:
    """The times that a cron expression names.

    Raises:
        ValueError: not a cron expression; the message names the field.

    Example:
        >>> sorted(parse_cron("*/20 9 * * mon-fri").minutes)
        [0, 20, 40]
    """
    texts = _SHORTHANDS.get(expression.strip().lower(), expression).split()
    if len(texts) != len(_FIELDS):
        raise ValueError(
            f"cron expression {expression!r} must have 5 fields (minute hour day month weekday) "
            f"or be one of {', '.join(_SHORTHANDS)}"
        )
    minutes, hours, days, months, weekdays = (
        _read_field(field, text, expression) for field, text in zip(_FIELDS, texts, strict=True)
    )
    return CronTimes(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        any_day=texts[2].startswith("*"),
        any_weekday=texts[4].startswith("*"),
    )


def _read_field(field: _Field, text: str, expression: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        try:
            values.update(_read_part(field, part))
        except ValueError as error:
            raise ValueError(f"cron expression {expression!r}, {field.name}: {error}") from None
    return frozenset(values)


def _read_part(field: _Field, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None or (match[1] == "*" and match[2]):
        raise ValueError(f"{part!r} is not understood")
    start, end, step_text = match.groups()
    step = int(step_text) if step_text else 1
    if step < 1:
        raise ValueError(f"the step in {part!r} must be at least 1")
    if start == "*":
        return range(field.low, field.high + 1, step)
    first = _number(field, start)
    if end is not None:
        last = _number(field, end)
    else:
        # "5/10" counts on from 5, "5" is 5 alone.
        last = field.high if step_text else first
    if last < first:
        raise ValueError(f"{part!r} runs backwards")
    return range(first, last + 1, step)


def _number(field: _Field, text: str) -> int:
    value = field.names.get(text.lower(), int(text) if text.isdecimal() else None)
    if value is None or not field.low <= value <= field.high:
        raise ValueError(f"{text!r} is not between {field.low} and {field.high}")
    return value
