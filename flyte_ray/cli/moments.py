"""Times as people type them: `2026-05-01T10:00`, `now - P1D`, `today + 2 hours`, `90 s`, `1:30`.

Pure: what "now" is, is handed in. A moment without a zone means UTC. `1:30` is one minute and
thirty seconds, `1:30:00` one hour and a half, as in Flyte.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_ISO_DURATION = re.compile(
    r"(?P<sign>[-+])?P(?:(?P<weeks>[\d.]+)W)?(?:(?P<days>[\d.]+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>[\d.]+)H)?(?:(?P<minutes>[\d.]+)M)?(?:(?P<seconds>[\d.]+)S)?)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d{1,2}(?:\.\d+)?)")
_SPOKEN = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-zµ]+)\s*,?\s*(?:and\s+)?")
_RELATIVE = re.compile(r"(?P<origin>now|today)(?:\s*(?P<sign>[-+])\s*(?P<duration>.+))?")

_UNITS = {
    "ms": "milliseconds",
    "millisecond": "milliseconds",
    "s": "seconds",
    "sec": "seconds",
    "second": "seconds",
    "m": "minutes",
    "min": "minutes",
    "minute": "minutes",
    "h": "hours",
    "hr": "hours",
    "hour": "hours",
    "d": "days",
    "day": "days",
    "w": "weeks",
    "wk": "weeks",
    "week": "weeks",
}


def parse_duration(text: str) -> timedelta:
    """A length of time.

    Raises:
        ValueError: the text is none.

    Example:
        >>> parse_duration("P1DT2H") == parse_duration("1 day 2 hours")
        True
    """
    stripped = text.strip()
    if match := _ISO_DURATION.fullmatch(stripped):
        parts = {k: float(v) for k, v in match.groupdict().items() if k != "sign" and v}
        if parts:
            length = timedelta(**parts)
            return -length if match["sign"] == "-" else length
    if match := _CLOCK.fullmatch(stripped):
        return timedelta(**{k: float(v) for k, v in match.groupdict().items() if v})
    return _spoken(stripped.lower(), text)


def _spoken(text: str, original: str) -> timedelta:
    total = timedelta()
    place = 0
    while place < len(text):
        match = _SPOKEN.match(text, place)
        unit = match and (_UNITS.get(match["unit"]) or _UNITS.get(match["unit"].removesuffix("s")))
        if match is None or not unit:
            break
        total += timedelta(**{unit: float(match["number"])})
        place = match.end()
    if place == 0 or place < len(text):
        raise ValueError(
            f"{original!r} is no length of time; write it as 'P1DT2H', '10 minutes' or '1:24'"
        )
    return total


def parse_moment(text: str, now: datetime) -> datetime:
    """A point in time, aware of its zone.

    Args:
        text: ISO 8601, or `now` or `today` (midnight UTC), with `- DURATION` or `+ DURATION`.
        now: what `now` means, with a zone.

    Raises:
        ValueError: the text is none.
    """
    stripped = text.strip()
    if match := _RELATIVE.fullmatch(stripped.lower()):
        moment = now.astimezone(UTC)
        if match["origin"] == "today":
            moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if match["duration"]:
            length = parse_duration(match["duration"].upper() if _is_iso(match) else match[3])
            moment = moment - length if match["sign"] == "-" else moment + length
        return moment
    try:
        moment = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(
            f"{text!r} is no point in time; write it as '2026-05-01T10:00', 'now' or 'now - P1D'"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _is_iso(match: re.Match[str]) -> bool:
    return match["duration"].startswith("p")


def parse_day(text: str, now: datetime) -> date:
    """A calendar day: ISO 8601, or whatever `parse_moment` takes.

    Raises:
        ValueError: the text is none.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return parse_moment(text, now).date()
