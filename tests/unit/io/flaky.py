"""A store that takes files in parts, one of which it may refuse once; as clients of buckets do."""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from flyte_ray.io import keeping

PART_BYTES = 1 << 18


class FlakyFile(AbstractBufferedFile):
    """Nobody sees the parts before the last one was taken, and then whatever was taken."""

    DEFAULT_BLOCK_SIZE = PART_BYTES

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.fs.sent += 1
        if self.fs.sent == self.fs.refuses:
            raise self.fs.error
        self.buffer.seek(0)
        self.parts.append(self.buffer.read())
        if final:
            self.fs.objects[self.path] = b"".join(self.parts)
        return True

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.objects[self.path][start:end])


class FlakyFileSystem(AbstractFileSystem):
    """`refuses` is the number of the part that is lost."""

    protocol = "flaky"
    objects: dict[str, bytes]
    sent = 0
    refuses = 0
    error: Exception

    def _open(self, path: str, mode: str = "rb", **_: Any) -> FlakyFile:
        return FlakyFile(self, path, mode, block_size=PART_BYTES)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in self.objects:
            return {"name": path, "size": len(self.objects[path]), "type": "file"}
        if any(each.startswith(f"{path}/") for each in self.objects):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = [self.info(each) for each in self.objects if each.startswith(f"{path}/")]
        return found if detail else [each["name"] for each in found]

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        pass


def flaky(refuses: int = 0, error: Exception | None = None) -> FlakyFileSystem:
    """The store behind `flaky://`, emptied; what it refuses with is an `OSError` of no kind."""
    keeping.forget()
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    filesystem: FlakyFileSystem = fsspec.filesystem("flaky", use_listings_cache=False)
    filesystem.objects, filesystem.sent, filesystem.refuses = {}, 0, refuses
    filesystem.error = error or OSError("503 slow down")
    return filesystem
