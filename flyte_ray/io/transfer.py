"""Moves bytes between files and stores: streaming, in ranges, in bounded memory.

Large downloads are fetched in ranges by several threads, each written to its place; memory is the
number of threads times the size of a range. A file appears under its name only when it is complete
and, where its digest is known, right: a truncated download is an error, never a shorter file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from flyte_ray.errors import StoreError
from flyte_ray.io.parallel import FILES_AT_ONCE, in_parallel
from flyte_ray.io.pieces import upload_in_pieces, wants_pieces
from flyte_ray.io.places import MissingFileError, corrupt, filesystem_of, is_remote, local_path

__all__ = [
    "FILES_AT_ONCE",
    "download",
    "exists",
    "file_digest",
    "front",
    "in_parallel",
    "sending",
    "upload",
    "verify",
]

CHUNK_BYTES = 16 * 1024 * 1024
RANGES_AT_ONCE = 4


def file_digest(path: Path) -> str:
    """sha256 of a local file, read as a stream."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise MissingFileError(f"File not found: {path}") from error


@lru_cache(maxsize=4096)
def _digest_at(path: Path, _size: int, _time_ns: int) -> str:
    return file_digest(path)


def verify(path: Path, digest: str) -> None:
    """Check a stored file that is used where it lies; read once per process and version.

    Raises:
        DigestMismatchError: it is not what was stored.
    """
    state = path.stat()
    if _digest_at(path, state.st_size, state.st_mtime_ns) != digest:
        raise corrupt(str(path))


@contextmanager
def arriving(target: Path) -> Iterator[Path]:
    """A path to write to; what is there when the block ends well becomes `target`, at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename is atomic; the dot keeps it out of globs.
    partial = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:12]}.part")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def sending(url: str, mode: str = "wb", **options: Any) -> Iterator[Any]:
    """A binary file to write at a URL; in a store it appears when the block ends well, or never.

    A file of fsspec commits whatever it was given when it is closed, also while an error leaves its
    own `with` block: half an object then stands there and looks like a whole one.

    Args:
        url: where to.
        mode: "wb" or "xb".
        options: for fsspec.
    """
    filesystem, path = filesystem_of(url)
    if is_remote(url) and not filesystem.async_impl and hasattr(filesystem, "makedirs"):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    file = filesystem.open(path, mode, **options)
    try:
        yield file
        file.close()
    except BaseException:
        if is_remote(url):
            _abandon(filesystem, path, file)
        else:
            file.close()
        raise


def _abandon(filesystem: Any, path: str, file: Any) -> None:
    """Close a file of a store without an object of it."""
    with suppress(OSError, NotImplementedError, *_broken_off()):
        if not isinstance(file, AbstractBufferedFile):
            # One stream, whose bytes are there as they come.
            file.close()
            filesystem.rm_file(path)
        elif not file.closed:
            file.closed = True
            file.discard()


def upload(
    source: Path, url: str, *, chunk_bytes: int | None = None, at_once: int | None = None
) -> None:
    """Copy a local file to a URL, replacing what is there.

    Args:
        source: an existing file.
        url: where to; directories are made.
        chunk_bytes: size of the parts in which it is sent.
        at_once: parts on their way at the same time, where the store takes several.
    """
    if not is_remote(url):
        target = local_path(url)
        if target != source:
            with arriving(target) as partial:
                shutil.copyfile(source, partial)
        return
    filesystem, path = filesystem_of(url)
    if wants_pieces(filesystem, source.stat().st_size):
        pace = chunk_bytes or CHUNK_BYTES, at_once or RANGES_AT_ONCE
        upload_in_pieces(filesystem, source, path, *pace)
        return
    options: dict[str, Any] = {}
    if filesystem.async_impl and hasattr(filesystem, "_put_file"):
        options = _upload_options(filesystem, chunk_bytes or CHUNK_BYTES, at_once)
    elif hasattr(filesystem, "makedirs"):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    if not filesystem.async_impl and type(filesystem).put_file is AbstractFileSystem.put_file:
        with source.open("rb") as file, sending(url) as sink:
            shutil.copyfileobj(file, sink, chunk_bytes or CHUNK_BYTES)
        return
    filesystem.put_file(str(source), path, **options)


def _upload_options(filesystem: Any, chunk_bytes: int, at_once: int | None) -> dict[str, Any]:
    names = filesystem._put_file.__code__.co_varnames
    options: dict[str, Any] = {}
    if "chunksize" in names:
        # GCS wants multiples of 256 KiB, S3 at least 5 MiB.
        unit = 256 * 1024
        options["chunksize"] = max(5 * 1024 * 1024, -(-chunk_bytes // unit) * unit)
    if "max_concurrency" in names:
        # Their own default is ten parts in memory at once.
        options["max_concurrency"] = at_once or RANGES_AT_ONCE
    return options


def download(
    url: str,
    target: Path,
    *,
    digest: str | None = None,
    start: int = 0,
    chunk_bytes: int = CHUNK_BYTES,
    at_once: int = RANGES_AT_ONCE,
) -> None:
    """Copy a URL to a local file.

    Args:
        url: where from.
        target: where to; directories are made, an existing file is replaced whole.
        digest: sha256 of what arrives, which is then checked.
        start: bytes at the front that are left out.
        chunk_bytes: size of a range.
        at_once: ranges on their way at the same time.

    Raises:
        MissingFileError: nothing is there.
        StoreError: it ended early.
        DigestMismatchError: it is not what it should be.
    """
    with arriving(target) as partial:
        if is_remote(url):
            _fetch(url, partial, start, (chunk_bytes, at_once))
        else:
            _copy_local(local_path(url), partial, start)
        if digest is not None and file_digest(partial) != digest:
            raise corrupt(url)


def _copy_local(source: Path, target: Path, start: int) -> None:
    try:
        if not start:
            shutil.copyfile(source, target)
            return
        with source.open("rb") as file, target.open("wb") as sink:
            file.seek(start)
            shutil.copyfileobj(file, sink, CHUNK_BYTES)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {source}") from error


def _fetch(url: str, target: Path, start: int, pace: tuple[int, int]) -> None:
    filesystem, path = filesystem_of(url)
    try:
        info = filesystem.info(path)
        size = info.get("size")
        if size is None or size <= pace[0] or not _has_ranges(filesystem, path):
            got = start + _stream(filesystem, path, target, start, pace[0])
        else:
            got = start + _fetch_ranges(filesystem, path, target, range(start, size), pace)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {url}") from error
    except _broken_off() as error:
        raise StoreError(f"{url} ended early: {error}; try again", url=url) from error
    if size is not None and got != size:
        raise StoreError(f"{url} ended after {got} of {size} bytes; try again", url=url)


def _has_ranges(filesystem: Any, path: str) -> bool:
    """True for a store that sends parts of a file, several at a time."""
    if not filesystem.async_impl or not path.startswith("http"):
        return bool(filesystem.async_impl)
    # All buckets have ranges; a web server may not, and then sends everything each time: asked for
    # one byte first, so that it shows before there are four of everything in memory.
    try:
        with filesystem.open(path, "rb", cache_type="none") as page:
            page.seek(1)
            return len(page.read(1)) == 1
    except (ValueError, OSError):
        return False


def _broken_off() -> tuple[type[BaseException], ...]:
    """What aiohttp raises, which is no `OSError`, where it was loaded by a client of a store."""
    aiohttp = sys.modules.get("aiohttp")
    return () if aiohttp is None else (aiohttp.ClientError,)


def _stream(filesystem: Any, path: str, target: Path, start: int, chunk_bytes: int) -> int:
    with filesystem.open(path, "rb") as source, target.open("wb") as sink:
        if start:
            source.seek(start)
        shutil.copyfileobj(source, sink, chunk_bytes)
        return sink.tell()


def _fetch_ranges(
    filesystem: Any, path: str, target: Path, wanted: range, pace: tuple[int, int]
) -> int:
    chunk_bytes, at_once = pace
    with target.open("wb") as sink:
        handle = sink.fileno()

        def fetch(start: int) -> int:
            end = min(start + chunk_bytes, wanted.stop)
            data = filesystem.cat_file(path, start=start, end=end)
            place = start - wanted.start
            view = memoryview(data)
            while view:
                written = os.pwrite(handle, view, place)
                view, place = view[written:], place + written
            return len(data)

        return sum(in_parallel(fetch, wanted[::chunk_bytes], at_once))


def front(url: str, size: int) -> bytes:
    """The first bytes of a file, or all of a shorter one.

    Raises:
        FileNotFoundError: there is none.
    """
    filesystem, path = filesystem_of(url)
    return bytes(filesystem.cat_file(path, start=0, end=size))


def exists(url: str) -> bool:
    """True when there is an object, or a directory, at the URL."""
    filesystem, path = filesystem_of(url)
    return bool(filesystem.exists(path))
