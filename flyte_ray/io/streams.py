"""Open files: local or remote, blocking or awaitable, hashing what is written.

Every file is opened as fsspec opens it; the awaitable form runs its methods in threads, so that a
slow store never holds up the event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec

from flyte_ray.io.hashing import HashFunction, HashMethod, hash_stream
from flyte_ray.io.places import MissingFileError, corrupt, filesystem_of, is_remote, local_path
from flyte_ray.io.transfer import sending

_TEXT = ("encoding", "errors", "newline")
_ANEW = ("w", "wt", "wb", "x", "xt", "xb")
_OUT_OF_ORDER = ("seek", "readline", "readlines", "readinto", "readinto1", "peek")


class _Tee:
    """A raw file that shows what is written to it; what is not written in order has no hash."""

    def __init__(self, raw: Any, taps: list[Callable[[Any], None]]) -> None:
        self._raw = raw
        self._taps = taps

    def write(self, data: Any) -> Any:
        for tap in self._taps:
            tap(data)
        return self._raw.write(data)

    def seek(self, *place: Any) -> Any:
        self._taps.clear()
        return self._raw.seek(*place)

    def truncate(self, *size: Any) -> Any:
        self._taps.clear()
        return self._raw.truncate(*size)

    def drop(self) -> None:
        """Let go of the raw file; what is still written goes nowhere."""
        self._raw = io.BytesIO()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _Checked:
    """A raw file that compares its digest when it was read from front to back."""

    def __init__(self, raw: Any, url: str, expected: str) -> None:
        self._raw = raw
        self._url = url
        self._expected = expected
        self._digest: Any = hashlib.sha256()

    def read(self, size: int | None = -1) -> Any:
        data = self._raw.read(-1 if size is None else size)
        if self._digest is not None:
            self._digest.update(data)
            if size is None or size < 0 or (size > 0 and not data):
                self._compare()
        return data

    def read1(self, size: int = -1) -> Any:
        return self.read(size)

    def _compare(self) -> None:
        digest, self._digest = self._digest, None
        if digest.hexdigest() != self._expected:
            raise corrupt(self._url)

    def __getattr__(self, name: str) -> Any:
        if name in _OUT_OF_ORDER:
            self._digest = None
        return getattr(self._raw, name)

    def __iter__(self) -> Iterator[Any]:
        self._digest = None
        return iter(self._raw)


@dataclass(slots=True)
class Written:
    """What is known of a file once it is written."""

    sha256: str | None = None
    """Digest of the content, if it was written from front to back."""
    hash: str | None = None
    """What the hash method made of it."""


@contextmanager
def reading(
    url: str, mode: str = "rb", *, digest: str | None = None, **options: Any
) -> Iterator[Any]:
    """A file object to read from, as fsspec gives it.

    Args:
        url: which file.
        mode: as for `open`.
        digest: sha256 of the content; checked where the file is read from front to back.
        options: for fsspec: `compression`, `encoding`, `block_size`, `cache_type`, …

    Raises:
        MissingFileError: there is no such file.
    """
    filesystem, path = filesystem_of(url)
    try:
        if digest is not None and not options.get("compression"):
            text = {name: options.pop(name, None) for name in _TEXT}
            raw, close = _open(filesystem, path, "rb", options)
            file: Any = _Checked(raw, url, digest)
            file = file if "b" in mode else io.TextIOWrapper(file, **text)
        else:
            file, close = _open(filesystem, path, mode, options)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {url}") from error
    try:
        yield file
    finally:
        close()


@contextmanager
def writing(
    url: str, mode: str, written: Written, method: HashMethod | None = None, **options: Any
) -> Iterator[Any]:
    """A file object to write to; directories are made.

    What is written anew to a store appears there when the block ends well, or not at all.

    Args:
        url: which file.
        mode: as for `open`.
        written: filled in when the block ends well.
        method: hashes what is written; after the fact where it was not written front to back.
        options: for fsspec.
    """
    if not is_remote(url):
        local_path(url).parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    taps: list[Callable[[Any], None]] = []
    if mode in _ANEW:
        taps = _taps(digest, method)
        opening = _writing_anew(url, mode, taps, options)
    else:
        opening = _changing(url, mode, options)
    with opening as file:
        yield file
    if taps:
        written.sha256 = digest.hexdigest()
    if method is not None:
        written.hash = method.result() if len(taps) > 1 else _hash_again(url, method)


def _taps(digest: Any, method: HashMethod | None) -> list[Callable[[Any], None]]:
    if method is None or isinstance(method, HashFunction):
        return [digest.update]
    if (reset := getattr(method, "reset", None)) is not None:
        reset()
    return [digest.update, method.update]


def _hash_again(url: str, method: HashMethod) -> str:
    with reading(url) as source:
        return hash_stream(method, source)


@contextmanager
def _writing_anew(
    url: str, mode: str, taps: list[Callable[[Any], None]], options: dict[str, Any]
) -> Iterator[Any]:
    text = {name: options.pop(name, None) for name in _TEXT}
    known = {name: value for name, value in options.items() if value is not None}
    compression = fsspec.core.get_compression(url, known.pop("compression", None))
    with sending(url, f"{mode[0]}b", **known) as raw:
        tee = _Tee(raw, taps)
        layers: list[Any] = [tee]
        if compression is not None:
            layers.append(fsspec.compression.compr[compression](tee, mode="w"))
        if "b" not in mode:
            layers.append(io.TextIOWrapper(layers[-1], **text))
        try:
            yield layers[-1]
        except BaseException:
            if is_remote(url):
                tee.drop()
            raise
        finally:
            # All of them: a compressor alone leaves the store's file open, unwritten.
            for layer in reversed(layers):
                layer.close()


@contextmanager
def _changing(url: str, mode: str, options: dict[str, Any]) -> Iterator[Any]:
    file, close = _open(*filesystem_of(url), mode, options)
    try:
        yield file
    finally:
        close()


def _open(
    filesystem: Any, path: str, mode: str, options: dict[str, Any]
) -> tuple[Any, Callable[[], None]]:
    """An open file, and how to close it."""
    known = {name: value for name, value in options.items() if value is not None}
    compression = fsspec.core.get_compression(path, known.pop("compression", None))
    if compression is None:
        file = filesystem.open(path, mode, **known)
        return file, file.close
    # `OpenFile` closes all layers; a compressor alone leaves the store's file open, unwritten.
    text = {name: known[name] for name in _TEXT if name in known}
    layers = fsspec.core.OpenFile(filesystem, path, mode=mode, compression=compression, **text)
    return layers.open(), layers.close


class AsyncFile:
    """An open file whose methods are awaited.

    Example:
        async with file.open("rb") as handle:
            head = await handle.read(100)
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    async def read(self, size: int = -1) -> Any:
        """The next `size` bytes or characters; all the rest by default."""
        return await asyncio.to_thread(self._file.read, size)

    async def readline(self) -> Any:
        """The next line."""
        return await asyncio.to_thread(self._file.readline)

    async def readlines(self) -> list[Any]:
        """All lines that are left."""
        return await asyncio.to_thread(self._file.readlines)

    async def write(self, data: Any) -> Any:
        """Write; how much was written."""
        return await asyncio.to_thread(self._file.write, data)

    async def seek(self, offset: int, whence: int = 0) -> Any:
        """Move to a place."""
        return await asyncio.to_thread(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """The current place."""
        return int(await asyncio.to_thread(self._file.tell))

    async def flush(self) -> None:
        """Hand on what is buffered."""
        await asyncio.to_thread(self._file.flush)

    async def close(self) -> None:
        """Close; leaving the `async with` block does it too."""
        await asyncio.to_thread(self._file.close)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while line := await self.readline():
            yield line


@asynccontextmanager
async def awaited(opening: AbstractContextManager[Any]) -> AsyncIterator[AsyncFile]:
    """An open file of a blocking context, entered and left in a thread."""
    file = await asyncio.to_thread(opening.__enter__)
    try:
        yield AsyncFile(file)
    except BaseException as error:
        if not await asyncio.to_thread(opening.__exit__, type(error), error, None):
            raise
    else:
        await asyncio.to_thread(opening.__exit__, None, None, None)
