"""PUBLIC: files at URLs, copied, opened and listed; async unless the name says `sync`.

Any URL that fsspec knows will do; a path without a scheme is local. The rule to know: a copy
appears under its name only when it is complete. Credentials come from where each client library
looks for them, or from `S3`, `GCS` and `ABFS` here.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fsspec

from flyte_ray.io import places, transfer
from flyte_ray.io.credentials import ABFS, GCS, S3, Storage, get_configured
from flyte_ray.io.keeping import copy_folder
from flyte_ray.io.places import MissingFileError
from flyte_ray.io.streams import AsyncFile, Written, awaited, reading, writing
from flyte_ray.io.tree import list_tree

__all__ = [
    "ABFS",
    "GCS",
    "S3",
    "Storage",
    "exists",
    "exists_sync",
    "get",
    "get_configured_fsspec_kwargs",
    "get_random_local_directory",
    "get_random_local_path",
    "get_stream",
    "get_underlying_filesystem",
    "is_remote",
    "join",
    "open",
    "put",
    "put_stream",
]

STREAM_BYTES = 10 * 1024 * 1024


# ------------------------------------------------------------------------------------- places


def is_remote(path: str | Path) -> bool:
    """True for a URL that is not on this machine's file system.

    Example:
        >>> is_remote("gs://bucket/x"), is_remote("/tmp/x")
        (True, False)
    """
    return places.is_remote(str(path))


def join(*parts: str) -> str:
    """A URL or path from its parts.

    Example:
        >>> join("gs://bucket/", "a", "b.txt")
        'gs://bucket/a/b.txt'
    """
    first, *rest = [str(part) for part in parts] or [""]
    return places.join(first, *rest) if rest else first


def get_configured_fsspec_kwargs(protocol: str | None = None, anonymous: bool = False) -> Any:
    """Options for fsspec's client of a protocol, from the environment."""
    return get_configured(protocol or "file", anonymous)


def get_underlying_filesystem(
    protocol: str | None = None,
    anonymous: bool = False,
    path: str | None = None,
    **options: Any,
) -> Any:
    """The fsspec file system of a protocol, or of a path.

    Raises:
        ConfigurationError: nobody knows the protocol, or its package is missing.
    """
    if protocol is None:
        protocol = path.partition("://")[0] if path and is_remote(path) else "file"
    if not anonymous and not options:
        return places.filesystem_of(f"{protocol}://" if protocol != "file" else "/")[0]
    return fsspec.filesystem(
        protocol, **{**get_configured_fsspec_kwargs(protocol, anonymous), **options}
    )


def get_random_local_path(name: str | Path | None = None) -> Path:
    """A path of this machine that nothing is at; its folder exists."""
    folder = get_random_local_directory()
    return folder / (Path(name).name if name else uuid.uuid4().hex)


def get_random_local_directory() -> Path:
    """A new folder of this machine; yours to remove."""
    return Path(tempfile.mkdtemp(prefix="flyte_ray-"))


def exists_sync(path: str) -> bool:
    """True when there is a file or folder at the URL."""
    return transfer.exists(str(path))


async def exists(path: str) -> bool:
    """`exists_sync`, awaited."""
    return await asyncio.to_thread(exists_sync, path)


# ------------------------------------------------------------------------------------ copying


async def get(
    from_path: str, to_path: str | Path | None = None, recursive: bool = False, **_: Any
) -> str:
    """Copy a file, or with `recursive` a folder, to this machine; the path it has here.

    Raises:
        MissingFileError: (also a `FileNotFoundError`) nothing is there.
    """
    name = places.base_name(str(from_path)) or "file"
    target = Path(to_path) if to_path is not None else get_random_local_path(name)
    if recursive:
        await asyncio.to_thread(_get_folder, str(from_path), target)
        return str(target)
    if target.is_dir():
        target = target / name
    await asyncio.to_thread(transfer.download, str(from_path), target)
    return str(target)


def _get_folder(url: str, target: Path) -> None:
    entries = list_tree(url)
    if not entries:
        raise MissingFileError(f"there is no folder {url}, or no file in it")
    transfer.in_parallel(lambda entry: transfer.download(entry.url, target / entry.name), entries)


async def put(
    from_path: str | Path,
    to_path: str | None = None,
    recursive: bool = False,
    batch_size: int | None = None,
    chunk_size: int | None = None,
    max_concurrency: int | None = None,
) -> str:
    """Copy a file, or with `recursive` a folder, of this machine to a URL; that URL.

    Args:
        from_path: what to copy.
        to_path: where to; inside a task a fresh place of the run by default.
        recursive: it is a folder.
        batch_size: files on their way at the same time.
        chunk_size: bytes that are sent at once.
        max_concurrency: parts of one file on their way at the same time.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: no `to_path`, and no task is running.
    """
    source = places.local_path(str(from_path))
    url = str(to_path) if to_path is not None else places.random_url(source.name)
    if not (source.is_dir() if recursive else source.is_file()):
        raise MissingFileError(f"there is no {'folder' if recursive else 'file'} {source}")
    if recursive:
        at_once = batch_size or transfer.FILES_AT_ONCE
        await asyncio.to_thread(copy_folder, source, url, at_once=at_once, chunk_bytes=chunk_size)
    else:
        await asyncio.to_thread(
            transfer.upload, source, url, chunk_bytes=chunk_size, at_once=max_concurrency
        )
    return url


# ------------------------------------------------------------------------------------ streams


@asynccontextmanager
async def open(path: str, mode: str = "rb", **options: Any) -> AsyncIterator[AsyncFile]:
    """An open file whose methods are awaited.

    Example:
        >>> async def read(url: str) -> bytes:
        ...     async with open(url) as file:
        ...         return await file.read()
    """
    opening = (
        reading(str(path), mode, **options)
        if mode.startswith("r")
        else writing(str(path), mode, Written(), **options)
    )
    async with awaited(opening) as file:
        yield file


async def put_stream(
    data: bytes | Iterable[bytes] | AsyncIterable[bytes],
    name: str | None = None,
    to_path: str | None = None,
    **_: Any,
) -> str:
    """Write bytes, or pieces of them, to a URL; that URL (inside a task a fresh one by default)."""
    url = str(to_path) if to_path is not None else places.random_url(name)
    async with open(url, "wb") as file:
        if isinstance(data, bytes | bytearray | memoryview):
            await file.write(data)
        elif isinstance(data, AsyncIterable):
            async for piece in data:
                await file.write(piece)
        else:
            for piece in data:
                await file.write(piece)
    return url


async def get_stream(path: str, chunk_size: int = STREAM_BYTES, **_: Any) -> AsyncIterator[bytes]:
    """The bytes of a file in pieces of at most `chunk_size`."""
    async with open(path, "rb") as file:
        while piece := await file.read(chunk_size):
            yield piece
