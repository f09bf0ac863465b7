"""Which stored values of other runs something still needs: a scan of texts, on the safe side.

Keys and URLs of values and files stand as text in the record (`runs/<run>/values/…`,
`…/runs/<run>/files/…`), those of code too (`code/…`). So who needs what is found by looking for
such texts in the books of the runs that stay, in the cache, and below `artifacts/`. What stands
inside a large value is not read: where any value of a run is needed, all files of that run are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.parts import Range, list_parts, list_slots, read_pieces
from flyte_ray.store.tables import read_table

CACHE = "cache"
ARTIFACTS = "artifacts"

_NAMED = re.compile(r"runs/([A-Za-z0-9][A-Za-z0-9._-]{0,127})/((?:values|files)/[^\"\\]*)")
_CODE = re.compile(r"code/[0-9a-f]{64}\.(?:zip|pkl)")
_TEXTS = ("inputs", "outputs", "attrs")
_MAY_NAME = r"(?:runs|code)/"
_ANY_VERSION = 10**6
_TURNS = 5
"""So often a book is listed anew when files vanish while it is read."""


@dataclass(slots=True)
class References:
    """What is needed of each run: beginnings of keys below the run's folder."""

    _needed: dict[str, set[str]] = field(default_factory=dict)
    code: set[str] = field(default_factory=set)
    """Keys of code."""
    _whole: set[str] = field(default_factory=set)
    """Runs of which all values and files are needed."""

    def add_text(self, text: str, *, owner: str = "") -> None:
        """Everything that a text names, but what is the owner's own."""
        self.code.update(_CODE.findall(text))
        for run, rest in _NAMED.findall(text):
            if run != owner:
                self._needed.setdefault(run, set()).add(rest)

    def add_column(self, column: pa.ChunkedArray, *, owner: str = "") -> None:
        """The same for a column of texts."""
        mask = pc.fill_null(pc.match_substring_regex(column, _MAY_NAME), False)
        for text in column.filter(mask).to_pylist():
            self.add_text(text, owner=owner)

    def needs(self, run: str, rest: str) -> bool:
        """True if an object of a run is needed; `rest`: its key below the run's folder."""
        if run in self._whole:
            return rest.startswith(("values/", "files/"))
        needed = self._needed.get(run)
        if not needed:
            return False
        return rest.startswith("files/") or any(rest.startswith(each) for each in needed)

    def need_all_of(self, runs: Iterable[str]) -> None:
        """Need all values and files of these runs."""
        self._whole.update(runs)

    def has_any_of(self, run: str) -> bool:
        """True if something of the run is needed."""
        return run in self._whole or run in self._needed

    def keys(self) -> list[str]:
        """All that is named of runs, as keys or beginnings of keys."""
        return sorted(
            f"{layout.RUNS}/{run}/{rest}" for run in self._needed for rest in self._needed[run]
        )

    def add_values(self, other: References) -> None:
        """Take in the values and files of runs that somebody else names."""
        for run, keys in other._needed.items():
            self._needed.setdefault(run, set()).update(keys)

    def runs(self) -> list[str]:
        """The runs of which something is needed."""
        return sorted(self._needed)


def of_run(blobs: Blobs, run: RunName, found: References) -> None:
    """What a run's book and description name of other runs.

    Raises:
        StoreError: the book cannot be read to its end, so what it names is not known.
    """
    data = _get_or_none(blobs)(layout.run_file(run))
    if data is None:
        return  # removed since it was listed
    found.add_text(data.decode("utf-8", "replace"), owner=run)
    for _ in range(_TURNS):
        try:
            _of_book(blobs, run, found)
        except FileNotFoundError:
            continue  # folded since it was listed
        return
    raise StoreError(
        f"the book of run {run!r} in {blobs.url} loses files while it is read, or has lost some:"
        " try again later"
    )


def _of_book(blobs: Blobs, run: RunName, found: References) -> None:
    slots, parts = list_slots(blobs, run), list_parts(blobs, run)
    try:
        _of_slots(blobs, run, slots, parts, found)
    except StoreError:
        # Perhaps only the end is damaged, which every reader passes over; else this raises too.
        files = LogFiles(blobs, run)
        files.segments()
        _of_slots(blobs, run, sorted({*slots} - {*files.damaged()}), parts, found)


def _of_slots(
    blobs: Blobs, run: RunName, slots: list[int], parts: list[Range], found: References
) -> None:
    for piece in read_pieces(blobs, run, slots, parts):
        for name in _TEXTS:
            if name in piece.rows.table.column_names:
                found.add_column(piece.rows.table.column(name), owner=run)


def of_folder(blobs: Blobs, folder: str, found: References) -> None:
    """What the tables and JSON documents below a folder name, in whatever layout."""
    keys = [key for key in walk(blobs, folder) if key.endswith((".parquet", ".json"))]
    for start in range(0, len(keys), 256):
        some = keys[start : start + 256]
        for key, data in zip(some, in_parallel(blobs, _get_or_none(blobs), some), strict=True):
            if data is not None:
                _of_object(key, data, found)


def walk(blobs: Blobs, folder: str) -> Iterator[str]:
    """The keys of all objects below a folder. One LIST a folder, one look at each object."""
    keys = [f"{folder}/{name}" for name in blobs.list(folder)]
    for key, is_object in zip(keys, in_parallel(blobs, blobs.exists, keys), strict=True):
        if is_object:
            yield key
        else:
            yield from walk(blobs, key)


def _of_object(key: str, data: bytes, found: References) -> None:
    if key.endswith(".json"):
        found.add_text(data.decode("utf-8", "replace"))
        return
    try:
        table = read_table(data, _ANY_VERSION, _TEXTS).table
    except StoreError:
        return
    for name in table.column_names:
        found.add_column(table.column(name))


def _get_or_none(blobs: Blobs) -> Callable[[str], bytes | None]:
    def get(key: str) -> bytes | None:
        try:
            return blobs.get(key)
        except FileNotFoundError:
            return None

    return get
