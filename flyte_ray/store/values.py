"""Large values of one run, each an object named by its digest, with fast copies beside them.

Written by whoever holds the value (usually a worker) before anybody is told of it, so that its key
may stand in the book. Equal values of one run are one object. Whether the bytes are what the digest
says is checked by the codec that reads them, which knows the value's type.

A fast copy (`core.ports.FastCopies`) is laid down while the object is being written. It bears the
key, which holds the digest, and spares the next process the reading, decoding and checking. What
is not found there is read here: a lost copy costs time, never a value.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from flyte_ray.core.ids import RunName
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import Blobs, FastCopies, Part
from flyte_ray.store import layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.pacing import pace_for
from flyte_ray.store.patience import Patience

T = TypeVar("T")

WORTH_A_COPY_BYTES = 256 * 1024
"""Reading so much from a bucket takes ten times as long as finding a copy."""
WORTH_A_COPY_LOCALLY_BYTES = 4 * 1024 * 1024
"""And of a local store, about as long."""


class RunValues:
    """`SharingStore` of one run. Thread-safe."""

    def __init__(
        self,
        blobs: Blobs,
        run: RunName,
        *,
        raw_data_path: str | None = None,
        copies: FastCopies | None = None,
    ) -> None:
        self._blobs = blobs
        self._run = run
        self._raw_data_path = raw_data_path
        self._copies = copies
        self._worth_bytes = WORTH_A_COPY_LOCALLY_BYTES if is_local(blobs) else WORTH_A_COPY_BYTES
        self._lock = threading.Lock()
        self._patience: Patience | None = None
        self._stored: set[str] = set()
        self._shared: set[str] = set()

    def patient(self) -> RunValues:
        """The same store; while it is away its writes wait as long as the record's do."""
        same = copy.copy(self)
        same._patience = Patience(self._run, pace_for(self._blobs).patience_s)
        return same

    def ask(self, request: Callable[[], T]) -> T:
        """What the request returns; of a patient store it is repeated as its writes are."""
        return request() if self._patience is None else self._patience.ask(request)

    @property
    def files_url(self) -> str:
        """Where files, folders and frames of the run go: as asked for, else beside its record."""
        return self._raw_data_path or f"{self._blobs.url}/{layout.files(self._run)}"

    def force(self, path: Path) -> None:
        """See that a file or folder is on the disk, if the store forces its writes to it."""
        if isinstance(self._blobs, LocalBlobs):
            self._blobs.force(path)

    def put(self, digest: str, codec: str, *parts: Part) -> str:
        """Store the value unless this process did so before; the key below the store's root."""
        key = layout.value(self._run, digest, codec)
        if self._has(key):
            return key
        finish = self._offered(key, sum(map(_size, parts)), parts)
        try:
            self._write(key, parts)
        finally:
            # Also when the store fails: what its author then writes must not get into the copy.
            finish()
        return key

    def put_shared(
        self,
        digest: str,
        codec: str,
        parts: Sequence[Part],
        share: Callable[[], Sequence[Part] | None],
    ) -> str:
        """The same, with a form of its own for the fast copy."""
        key = layout.value(self._run, digest, codec)
        if self._has(key):
            return key
        size = sum(map(_size, parts))
        self._write(key, parts)
        if self._is_worth_a_copy(size):
            # One after the other: both forms and the value itself would be three times the memory.
            _give_up(parts)
            self._offered(key, size, share())()
        return key

    def _has(self, key: str) -> bool:
        with self._lock:
            return key in self._stored

    def _write(self, key: str, parts: Sequence[Part]) -> None:
        # Replacing an equal value is harmless, and cheaper than asking whether it is there.
        self.ask(lambda: self._blobs.put(key, *parts))
        with self._lock:
            self._stored.add(key)

    def get(self, key: str) -> bytes:
        """The bytes, also of another run's value. Raises `FileNotFoundError` if they are gone."""
        return self._blobs.get(key)

    def take(self, key: str, size_bytes: int) -> Sequence[memoryview] | None:
        """What lies beside a stored value; None where it is to be read."""
        if self._copies is None or not self._is_worth_a_copy(size_bytes):
            return None
        parts = self._copies.take(key)
        if parts is not None:
            with self._lock:
                self._shared.add(key)
                self._stored.add(key)
        return parts

    def confirm(self, key: str) -> None:
        """The object was read and is sound."""
        with self._lock:
            self._stored.add(key)

    def hand_on(self, value: EncodedValue, share: Callable[[], Sequence[Part] | None]) -> bool:
        """Have a copy of a value that is stored already; False if it is not of this run."""
        key = value.key
        if key is None or not key.startswith(layout.values(self._run)):
            return False
        with self._lock:
            is_shared = key in self._shared
        if not is_shared and self._is_worth_a_copy(value.size_bytes):
            self._offered(key, value.size_bytes, share())()
        return True

    def _is_worth_a_copy(self, size_bytes: int) -> bool:
        return self._copies is not None and size_bytes >= self._worth_bytes

    def _offered(
        self, key: str, size_bytes: int, parts: Sequence[Part] | None
    ) -> Callable[[], None]:
        if self._copies is None or parts is None or not self._is_worth_a_copy(size_bytes):
            return _nothing_to_wait_for
        with self._lock:
            self._shared.add(key)
        return self._copies.offer(key, parts)


def _nothing_to_wait_for() -> None:
    """There is no copy."""


def _give_up(parts: Sequence[Part]) -> None:
    """Free what was encoded, though its encoder is still at work."""
    for part in parts:
        if isinstance(part, memoryview):
            part.release()


def _size(part: Part) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
