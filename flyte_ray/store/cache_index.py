"""Results of earlier runs, by cache key: level 0, files of entries that hosts publish.

Every publication is one immutable Parquet file under a unique name, so publishing conflicts with
nobody. A reader lists the folder, reads the files it has not read and answers from memory; what it
has not seen yet is a miss, never an error, and so is a file that has vanished or is damaged.

Of several entries with one key the earliest wins, whatever the order of reading, so all runs see
one value; except that an entry which `overwrites` (a recomputation that was asked for, or because
the old result was too old) takes the place of every earlier one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from flyte_ray.core.ports import Blobs, CacheEntry
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.schemas import CACHE_ENTRIES, CACHE_ENTRIES_VERSION
from flyte_ray.store.tables import from_parquet, to_parquet

logger = logging.getLogger(__name__)

_LOCAL_REFRESH_S = 0.25
_REMOTE_REFRESH_S = 5.0


@dataclass(slots=True, kw_only=True)  # not frozen: the port's attributes are plain ones
class Entry:
    """`CacheEntry` as stored; nobody changes it."""

    key: str
    created_us: int
    run: str
    action_id: str
    task: str
    outputs: str
    """JSON of the payload; large values are named by the keys of the run that made them."""
    overwrites: bool = False
    """Takes the place of every earlier entry of this key."""


class StoredCache:
    """`CacheIndex` on a store. Thread-safe.

    Args:
        blobs: the store.
        refresh_s: how old the list of files may be when a key is asked for that is not known;
            None for a quarter of a second on a local store and five seconds elsewhere.
    """

    def __init__(self, blobs: Blobs, *, refresh_s: float | None = None) -> None:
        self._blobs = blobs
        default_s = _LOCAL_REFRESH_S if is_local(blobs) else _REMOTE_REFRESH_S
        self._refresh_s = default_s if refresh_s is None else refresh_s
        self._lock = threading.Lock()
        self._listed_s = float("-inf")
        self._read: set[str] = set()
        self._entries: dict[str, Entry] = {}

    def look_up(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries there are for these keys. Costs nothing while all are known."""
        with self._lock:
            missing = any(key not in self._entries for key in keys)
            if missing and time.monotonic() - self._listed_s >= self._refresh_s:
                self._refresh()
            return {key: self._entries[key] for key in keys if key in self._entries}

    def refresh(self) -> None:
        """Read what others have published; a host does so when a run begins."""
        with self._lock:
            self._refresh()

    def publish(self, entries: Sequence[CacheEntry]) -> None:
        """Store the entries as one file; this index answers with them at once."""
        if not entries:
            return
        new = [_entry(each) for each in entries]
        name = f"{time.time_ns():020d}-{uuid4().hex}"
        self._blobs.put_new(layout.cache_entries(name), encode_entries(new))
        with self._lock:
            self._read.add(f"{name}.parquet")
            self._take_in(new)

    def _refresh(self) -> None:
        """Under the lock."""
        self._listed_s = time.monotonic()
        names = self._blobs.list(layout.CACHE_LEVEL_0)
        new = [n for n in names if n.endswith(".parquet") and n not in self._read]
        for entries in in_parallel(self._blobs, self._load, new):
            self._take_in(entries)
        self._read.update(new)

    def _load(self, name: str) -> list[Entry]:
        key = f"{layout.CACHE_LEVEL_0}/{name}"
        try:
            return decode_entries(self._blobs.get(key))
        except (FileNotFoundError, StoreError, ConfigurationError) as error:
            logger.warning("cache entries %s/%s are left out: %s", self._blobs.url, key, error)
            return []

    def _take_in(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            known = self._entries.get(entry.key)
            if known is None or _beats(entry, known):
                self._entries[entry.key] = entry


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """The bytes of one published file."""
    return to_parquet(
        {
            "key": [entry.key for entry in entries],
            "created": [entry.created_us for entry in entries],
            "run": [entry.run for entry in entries],
            "action_id": [entry.action_id for entry in entries],
            "task": [entry.task for entry in entries],
            "outputs": [entry.outputs for entry in entries],
            "overwrites": [entry.overwrites for entry in entries],
        },
        CACHE_ENTRIES,
        CACHE_ENTRIES_VERSION,
    )


def decode_entries(data: bytes) -> list[Entry]:
    """The entries of one published file. Raises `StoreError` for anything else."""
    columns = from_parquet(data, CACHE_ENTRIES, CACHE_ENTRIES_VERSION)
    rows = zip(*(columns[name] for name in CACHE_ENTRIES.names), strict=True)
    return [
        Entry(
            key=key,
            created_us=created_us or 0,
            run=run or "",
            action_id=action_id or "",
            task=task or "",
            outputs=outputs,
            overwrites=bool(overwrites),
        )
        for key, created_us, run, action_id, task, outputs, overwrites in rows
        if key and outputs is not None
    ]


def _entry(entry: CacheEntry) -> Entry:
    if isinstance(entry, Entry):
        return entry
    return Entry(
        key=entry.key,
        created_us=entry.created_us,
        run=entry.run,
        action_id=entry.action_id,
        task=entry.task,
        outputs=entry.outputs,
        overwrites=bool(getattr(entry, "overwrites", False)),
    )


def _beats(entry: Entry, other: Entry) -> bool:
    """The order in which entries of one key count; total, so that all readers agree."""
    if entry.overwrites != other.overwrites:
        return entry.overwrites
    if entry.overwrites:
        return _age(entry) > _age(other)
    return _age(entry) < _age(other)


def _age(entry: Entry) -> tuple[int, str, str]:
    return entry.created_us, entry.run, entry.action_id
