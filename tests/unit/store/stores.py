"""Stores for tests: one in memory that can be told to wait and to fail, and an fsspec client."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fsspec import AbstractFileSystem

Hook = Callable[[str, str], None]


def _nothing(operation: str, key: str) -> None:
    return


class DictBlobs:
    """`Blobs` in a dict. `before` and `after` are called with (operation, key) and may raise.

    What `after` raises stands for a reply that was lost: the operation has happened.
    """

    def __init__(self, url: str = "memory://test") -> None:
        self.url = url
        self.objects: dict[str, bytes] = {}
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        self._begin("put", key)
        with self._lock:
            self.objects[key] = b"".join(parts)
        self.after("put", key)

    def put_new(self, key: str, data: bytes) -> bool:
        self._begin("put_new", key)
        with self._lock:
            stored = self.objects.setdefault(key, data)
        self.after("put_new", key)
        return stored == data

    def get(self, key: str) -> bytes:
        self._begin("get", key)
        with self._lock:
            if key not in self.objects:
                raise FileNotFoundError(key)
            return self.objects[key]

    def exists(self, key: str) -> bool:
        self._begin("exists", key)
        return key in self.objects

    def list(self, prefix: str) -> Sequence[str]:
        self._begin("list", prefix)
        start = f"{prefix}/" if prefix else ""
        with self._lock:
            keys = list(self.objects)
        return sorted({k[len(start) :].partition("/")[0] for k in keys if k.startswith(start)})

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._begin("delete", key)
            self.objects.pop(key, None)

    def _begin(self, operation: str, key: str) -> None:
        self.calls[operation] += 1
        self.before(operation, key)


class HttpError(Exception):
    """What gcsfs raises: no OSError, the status in `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"HTTP {code}")
        self.code = code


class FakeFileSystem(AbstractFileSystem):
    """An object store as fsspec shows one: flat keys, conditional create, faults on request.

    `faults`: taken one per write or read; ("before", error) fails without effect, ("after", error)
    takes effect and loses the reply; the client then repeats the request, as gcsfs does.
    """

    protocol = "fake"
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.objects: dict[str, bytes] = {}
        self.faults: list[tuple[str, Exception]] = []
        self.requests = 0
        self._lock = threading.Lock()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        when, error = self._fault()
        if when == "before":
            raise error
        with self._lock:
            if mode == "create" and path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = bytes(value)
        if when == "after":
            raise error

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        when, error = self._fault()
        if when:
            raise error
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        when, error = self._fault()
        if when:
            raise error
        if path in self.objects:
            return {"name": path, "type": "file", "size": len(self.objects[path])}
        self.ls(path)
        return {"name": path, "type": "directory", "size": 0}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        start = path.rstrip("/") + "/"
        with self._lock:
            below = [key[len(start) :] for key in self.objects if key.startswith(start)]
        names = sorted({start + name.partition("/")[0] for name in below})
        if not names:
            raise FileNotFoundError(path)
        return names

    def rm_file(self, path: str) -> None:
        if self.objects.pop(path, None) is None:
            raise FileNotFoundError(path)

    def _fault(self) -> tuple[str, Exception]:
        self.requests += 1
        return self.faults.pop(0) if self.faults else ("", Exception())
