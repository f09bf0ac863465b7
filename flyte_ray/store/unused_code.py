"""Removes code that no run uses any more, a day after that was first noticed.

Not at once: a run that starts now needs it before its description can say so. Whoever starts one
takes the mark away (`unmark_code`), and a mark that is gone is not acted upon.
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


def unmark_code(blobs: Blobs, key: str) -> None:
    """Say that a run is about to use code; call it before you look whether that is there."""
    blobs.delete([_mark(key)])


def mark_code(blobs: Blobs, keys: Iterable[str]) -> None:
    """Remember code that no run uses; `sweep_code` removes it a day later if that is still so."""
    for key in keys:
        mark = json.dumps({"key": key, "at_us": utc_now_us()})
        blobs.put(_mark(key), mark.encode())


def sweep_code(blobs: Blobs, *, now_us: int) -> list[str]:
    """Remove code that was marked a day ago and that no run uses; the keys of what is gone."""
    marks = [f"{_MARKS}/{name}" for name in blobs.list(_MARKS)]
    due = {key: mark for key, mark in _read(blobs, marks) if mark["at_us"] < now_us - DAY_US}
    if not due:
        return []
    used = {key for spec in _runs(blobs) for key in spec.code_keys}
    gone = []
    for mark, said in due.items():
        if said["key"] not in used and blobs.exists(mark):  # else a run has started since
            blobs.delete([said["key"]])
            gone.append(said["key"])
        blobs.delete([mark])
    return gone


def _mark(key: str) -> str:
    return f"{_MARKS}/{key.rpartition('/')[2]}.json"


def _read(blobs: Blobs, marks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for mark in marks:
        try:
            said = json.loads(blobs.get(mark))
            yield mark, {"key": str(said["key"]), "at_us": int(said["at_us"])}
        except FileNotFoundError:
            continue  # somebody else sweeps too
        except (ValueError, KeyError, TypeError):
            # Half a mark, of a power cut on a disk without fsync: its day begins anew.
            mark_code(blobs, [f"code/{mark.rpartition('/')[2].removesuffix('.json')}"])


def _runs(blobs: Blobs) -> Iterator[RunSpec]:
    for name in filter(layout.is_run_name, blobs.list(layout.RUNS)):
        try:
            yield read_run(blobs, name)
        except LookupError:
            continue  # being made or removed
