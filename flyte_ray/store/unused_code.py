"""Removes code that no run uses any more, a day after that was first noticed.

Not at once: a run that starts now may have found the bundle in the store already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.model import DAY_US, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.run_file import read_run

_MARKS = "removal/code"


def mark_code(blobs: Blobs, keys: Iterable[str]) -> None:
    """Remember code that no run uses; `sweep_code` removes it a day later if that is still so."""
    for key in keys:
        mark = json.dumps({"key": key, "at_us": utc_now_us()})
        blobs.put(f"{_MARKS}/{key.rpartition('/')[2]}.json", mark.encode())


def sweep_code(blobs: Blobs, *, now_us: int) -> list[str]:
    """Remove code that was marked a day ago and that no run uses; the keys of what is gone."""
    marks = [f"{_MARKS}/{name}" for name in blobs.list(_MARKS)]
    due = {key: mark for key, mark in _read(blobs, marks) if mark["at_us"] < now_us - DAY_US}
    if not due:
        return []
    used = {key for spec in _runs(blobs) for key in spec.code_keys}
    gone = [mark["key"] for mark in due.values() if mark["key"] not in used]
    blobs.delete([*gone, *due])
    return gone


def _read(blobs: Blobs, marks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for mark in marks:
        try:
            yield mark, json.loads(blobs.get(mark))
        except FileNotFoundError:
            continue  # somebody else sweeps too


def _runs(blobs: Blobs) -> Iterator[RunSpec]:
    for name in filter(layout.is_run_name, blobs.list(layout.RUNS)):
        try:
            yield read_run(blobs, name)
        except LookupError:
            continue  # being made or removed
