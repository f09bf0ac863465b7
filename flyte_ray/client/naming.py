"""Names of runs: chosen by the author, or made from the time and a little chance.

A made name sorts by time, can be read out aloud, and is unlikely to be made twice
(`20261122-164507-k3fz`); `run.json` is put-if-absent, so a name that was made twice is noticed.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from flyte_ray.core.ids import RunName

_LETTERS = "bcdfghjkmnpqrstvwxz23456789"
"""No vowels (no words), nothing that looks like something else."""
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


def new_run_name(now: datetime | None = None) -> RunName:
    """A fresh name, by UTC."""
    at = now or datetime.now(UTC)
    return RunName(f"{at:%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}")


def checked_run_name(name: str) -> RunName:
    """An author's name.

    Raises:
        ValueError: it cannot be part of a path or URL.
    """
    if _VALID.fullmatch(str(name)) is None:
        raise ValueError(
            f"{name!r} cannot be a run's name: use 1 to 64 letters, digits, '-', '_' and '.', "
            "beginning and ending with a letter or digit."
        )
    return RunName(name)
