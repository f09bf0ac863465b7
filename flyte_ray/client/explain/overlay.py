"""A store whose writes go nowhere: for code that runs again without leaving a trace.

Reads see what was written here first, then the store below (or what was packed into an export).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from flyte_ray.core.ports import Blobs


class OverlayBlobs:
    """`Blobs` over another one (None: over nothing), in memory. Thread-safe."""

    def __init__(self, below: Blobs | None, objects: Mapping[str, bytes] | None = None) -> None:
        self._below = below
        self._objects = dict(objects or {})
        self._gone: set[str] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """That of the store below, so that references stay as they are."""
        return self._below.url if self._below is not None else "memory://replay"

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        with self._lock:
            self._objects[key] = b"".join(bytes(part) for part in parts)
            self._gone.discard(key)

    def put_new(self, key: str, data: bytes) -> bool:
        if self.exists(key):
            return self.get(key) == data
        self.put(key, data)
        return True

    def get(self, key: str) -> bytes:
        with self._lock:
            if key in self._objects:
                return self._objects[key]
        if self._below is None or key in self._gone:
            raise FileNotFoundError(key)
        return self._below.get(key)

    def exists(self, key: str) -> bool:
        with self._lock:
            if key in self._objects:
                return True
        return self._below is not None and key not in self._gone and self._below.exists(key)

    def list(self, prefix: str) -> Sequence[str]:
        start = f"{prefix.rstrip('/')}/"
        below = self._below.list(prefix) if self._below is not None else ()
        kept = {name for name in below if f"{start}{name}" not in self._gone}
        with self._lock:
            mine = {key[len(start) :].partition("/")[0] for key in self._objects if start in key}
        return sorted(kept | mine)

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)
                self._gone.add(key)
