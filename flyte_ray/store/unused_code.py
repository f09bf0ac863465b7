"""Removes code that no run uses any more, a day after that was first noticed.

Not at once: a run that starts now, or sends a task by value, needs it before its description or its
book can say so. Whoever does takes the mark away (`unmark_code`), and a mark that is gone is not
acted upon.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.model import DAY_US, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.run_file import read_run

_MARKS = "removal/code"


def unmark_code(blobs: Blobs, key: str) -> None:
    """Say that a run is about to use code; call it before you look whether that is there."""
    blobs.delete([_mark(key)])


def all_code(blobs: Blobs) -> list[str]:
    """The keys of all code that the store holds. One LIST."""
    return [f"{layout.CODE}/{name}" for name in blobs.list(layout.CODE)]


def mark_code(blobs: Blobs, keys: Iterable[str], used: Collection[str] = ()) -> None:
    """Remember code that nobody uses; `sweep_code` removes it a day later if that is still so.

    A mark that is there stays as it is, so that its day passes; for code that was used until now
    the day begins anew, whatever a mark of before says.
    """
    marked = {f"{_MARKS}/{name}" for name in blobs.list(_MARKS)}
    for key in keys:
        if key in used or _mark(key) not in marked:
            _put_mark(blobs, key)


def is_due(blobs: Blobs, *, now_us: int) -> bool:
    """True if there is code that `sweep_code` may remove. One LIST, and a GET per mark."""
    return bool(_due(blobs, now_us))


def sweep_code(blobs: Blobs, in_use: Collection[str] = (), *, now_us: int) -> list[str]:
    """Remove code that was marked a day ago and that no run uses; the keys of what is gone.

    Args:
        blobs: the store.
        in_use: what books name; descriptions of runs are read here.
        now_us: UTC.
    """
    due = _due(blobs, now_us)
    if not due:
        return []
    used = {*in_use, *(key for spec in _runs(blobs) for key in spec.code_keys)}
    gone = []
    for mark, key in due.items():
        if key not in used and _is_taken_away(blobs, key, mark):
            gone.append(key)
        blobs.delete([mark])
    return gone


def _is_taken_away(blobs: Blobs, key: str, mark: str) -> bool:
    """Remove code; False if somebody takes the mark away meanwhile, who then finds it there.

    They take the mark first and look then, or write; here it is the other way round.
    """
    try:
        data = blobs.get(key)
    except FileNotFoundError:
        return False
    if not blobs.exists(mark):
        return False
    blobs.delete([key])
    if blobs.exists(mark):
        return True
    blobs.put(key, data)
    return False


def _due(blobs: Blobs, now_us: int) -> dict[str, str]:
    """Marks that were made a day ago, and the keys they are of."""
    marks = [f"{_MARKS}/{name}" for name in blobs.list(_MARKS)]
    return {mark: key for mark, key, at_us in _read(blobs, marks) if at_us < now_us - DAY_US}


def _put_mark(blobs: Blobs, key: str) -> None:
    blobs.put(_mark(key), json.dumps({"key": key, "at_us": utc_now_us()}).encode())


def _mark(key: str) -> str:
    return f"{_MARKS}/{key.rpartition('/')[2]}.json"


def _read(blobs: Blobs, marks: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    for mark in marks:
        try:
            said = json.loads(blobs.get(mark))
            yield mark, str(said["key"]), int(said["at_us"])
        except FileNotFoundError:
            continue  # somebody else sweeps too
        except (ValueError, KeyError, TypeError):
            # Half a mark, of a power cut on a disk without fsync: its day begins anew.
            _put_mark(blobs, f"{layout.CODE}/{mark.rpartition('/')[2].removesuffix('.json')}")


def _runs(blobs: Blobs) -> Iterator[RunSpec]:
    for name in filter(layout.is_run_name, blobs.list(layout.RUNS)):
        try:
            yield read_run(blobs, name)
        except LookupError:
            continue  # being made or removed
