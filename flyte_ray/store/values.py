"""Large values of one run, each an object named by its digest.

Written by whoever holds the value (usually a worker) before anybody is told of it, so that its key
may stand in the book. Equal values of one run are one object. Whether the bytes are what the digest
says is checked by the codec that reads them, which knows the value's type.
"""

from __future__ import annotations

import threading

from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout


class RunValues:
    """`ValueStore` of one run. Thread-safe."""

    def __init__(self, blobs: Blobs, run: RunName, *, raw_data_path: str | None = None) -> None:
        self._blobs = blobs
        self._run = run
        self._raw_data_path = raw_data_path
        self._lock = threading.Lock()
        self._stored: set[str] = set()

    @property
    def files_url(self) -> str:
        """Where files, folders and frames of the run go: as asked for, else beside its record."""
        return self._raw_data_path or f"{self._blobs.url}/{layout.files(self._run)}"

    def put(self, digest: str, codec: str, *parts: bytes | bytearray | memoryview) -> str:
        """Store the value unless this process did so before; the key below the store's root."""
        key = layout.value(self._run, digest, codec)
        with self._lock:
            if key in self._stored:
                return key
        # Replacing an equal value is harmless, and cheaper than asking whether it is there.
        self._blobs.put(key, *parts)
        with self._lock:
            self._stored.add(key)
        return key

    def get(self, key: str) -> bytes:
        """The bytes, also of another run's value. Raises `FileNotFoundError` if they are gone."""
        return self._blobs.get(key)
