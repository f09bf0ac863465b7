"""`Dir`: a directory by reference, known by the names and contents of its files.

Like a `File` it moves no bytes when it is passed on. Stores know no empty directories, so a
directory without files is `Dir.empty()`. Listings follow what their arguments say: not recursive
means the top level, a pattern is a glob on file names.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic

from pydantic import PrivateAttr

from flyte_ray.codec.codec import Encoded
from flyte_ray.io import transfer
from flyte_ray.io.file import File
from flyte_ray.io.hashing import HashMethod, as_hash_method, hash_files
from flyte_ray.io.keeping import (
    copy_folder,
    folder_digest,
    folder_digest_of,
    folder_entries,
    keep_folder,
    kept_listing,
    list_local,
    listing_of,
    settle_folder,
)
from flyte_ray.io.located import Located, T
from flyte_ray.io.patience import patiently
from flyte_ray.io.places import (
    MissingFileError,
    base_name,
    corrupt,
    files_url,
    is_remote,
    join,
    local_path,
    random_url,
)
from flyte_ray.io.reference import Reference, digest_of, force_to_disk, write_reference
from flyte_ray.io.tree import list_tree, listing_digest

EMPTY = "empty:"
"""The path of a directory without files."""


class Dir(Located[T], Generic[T]):
    """A directory of files, by reference.

    Example:
        >>> Dir(path="gs://bucket/images").name
        'images'
    """

    __flyte_codec__: ClassVar[str] = "dir"
    _listing: dict[str, str] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Fill in the name."""
        if not self.is_empty:
            super().model_post_init(context)

    @property
    def is_empty(self) -> bool:
        """True for the directory without files."""
        return self.path == EMPTY

    # ------------------------------------------------------------- making one

    @classmethod
    def empty(cls) -> Dir[T]:
        """A directory without files."""
        return cls(path=EMPTY)

    @classmethod
    def new_remote(cls, dir_name: str | None = None, hash: str | None = None) -> Dir[T]:
        """A directory to be filled, at a place of its own in the run's files.

        Raises:
            ValueError: outside of a task.
        """
        return cls(path=random_url(dir_name), hash=hash)

    @classmethod
    def from_existing_remote(cls, remote_path: str, dir_cache_key: str | None = None) -> Dir[T]:
        """A reference to a directory that stays where it is."""
        return cls._at(remote_path, Reference(stays=True), hash=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | HashMethod | None = None,
        batch_size: int | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> Dir[T]:
        """A local directory, taken into the run (in a script: when it is passed to one).

        Args:
            local_path: an existing directory.
            remote_destination: URL to copy it to, instead of the run's own files.
            dir_cache_key: what it is known by in cache keys, instead of its content; a method is
                given the name, the size and the bytes of each file, sorted by name.
            batch_size: files on their way at the same time.
            chunk_size: bytes per part of an upload.
            max_concurrency: the same as `batch_size`.

        Raises:
            ValueError: there is no such directory (then also a `FileNotFoundError`), or no file in
                it.
            TypeError: `dir_cache_key` is a function of one value, which a directory is not.
        """
        folder = Path(local_path).expanduser().absolute()
        if not folder.is_dir():
            raise MissingFileError(f"Directory not found: {folder}")
        at_once = batch_size or max_concurrency or transfer.FILES_AT_ONCE
        prefix = files_url()
        key = _cache_key(dir_cache_key, folder)
        if remote_destination is not None:
            digest = folder_digest(folder, at_once)
            there = remote_destination
            patiently(
                there, lambda: copy_folder(folder, there, at_once=at_once, chunk_bytes=chunk_size)
            )
            url, known = remote_destination, Reference(sha256=digest, stays=True)
        elif prefix is not None:
            kept = patiently(
                prefix,
                lambda: keep_folder(folder, prefix, at_once=at_once, chunk_bytes=chunk_size),
            )
            url, known = kept.url, Reference(sha256=kept.digest, kept=True)
        else:
            url, known = str(folder), Reference()
        return cls._at(url, known, name=folder.name, hash=key)

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        dir_cache_key: str | HashMethod | None = None,
        batch_size: int | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> Dir[T]:
        """`from_local_sync`, awaited."""
        return await asyncio.to_thread(
            cls.from_local_sync,
            local_path,
            remote_destination,
            dir_cache_key,
            batch_size,
            chunk_size,
            max_concurrency,
        )

    # ------------------------------------------------------------- using one

    def walk_sync(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: int | None = None
    ) -> Iterator[File[T]]:
        """The files, sorted by path.

        Args:
            recursive: also those of directories below.
            file_pattern: a glob on file names.
            max_depth: levels to descend; 1 is the top level.
        """
        depth = max_depth if recursive else 1
        for name in self._names(depth):
            if fnmatch.fnmatch(base_name(name), file_pattern):
                yield self._file(name)

    async def walk(
        self, recursive: bool = True, max_depth: int | None = None
    ) -> AsyncIterator[File[T]]:
        """The files, sorted by path."""
        files = await asyncio.to_thread(lambda: list(self.walk_sync(recursive, "*", max_depth)))
        for file in files:
            yield file

    def list_files_sync(self) -> list[File[T]]:
        """The files of the top level."""
        return list(self.walk_sync(recursive=False))

    async def list_files(self) -> list[File[T]]:
        """The files of the top level."""
        return await asyncio.to_thread(self.list_files_sync)

    def _names(self, max_depth: int | None = None) -> list[str]:
        """The files as they were recorded; of a directory that was not, as they are now."""
        if self.is_empty:
            return []
        if known := self._known():
            return [name for name in known if max_depth is None or name.count("/") < max_depth]
        return [entry.name for entry in list_tree(self.path, max_depth)]

    def _known(self) -> dict[str, str]:
        """Name to digest of each file, where the run keeps the directory; else nothing."""
        known = self._reference
        if known.kept and known.sha256 is not None and not self._listing:
            self._listing = kept_listing(self.path, known.sha256)
        return self._listing

    def _file(self, name: str) -> File[T]:
        """One file, with what the directory knows of it: it is checked when it is read."""
        digest = self._known().get(name)
        return File._at(join(self.path, name), Reference(sha256=digest, kept=digest is not None))

    def get_file_sync(self, name: str) -> File[T] | None:
        """The file of that name (a relative path), or None."""
        if self.is_empty or ".." in name.split("/"):
            return None
        file = self._file(name)
        return file if file.exists_sync() else None

    async def get_file(self, name: str) -> File[T] | None:
        """`get_file_sync`, awaited."""
        return await asyncio.to_thread(self.get_file_sync, name)

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """A local copy, checked where the directory's digest is known; its path.

        A local directory without a target is its own copy; otherwise its files arrive in parallel.

        Raises:
            ValueError: (also a `FileNotFoundError`) there is no such directory.
            DigestMismatchError: the files are not those that were stored.
        """
        if local_path is None and not is_remote(self.path) and not self.is_empty:
            found = _existing(self.path)
            if self._reference.kept:
                self._check(folder_entries(found))
            return str(found)
        target = self._target(local_path)
        target.mkdir(parents=True, exist_ok=True)
        if self.is_empty:
            return str(target)
        names = [entry.name for entry in list_tree(self.path)]
        if not names:
            raise MissingFileError(f"there is no directory {self.path}, or no file in it")
        known = self._known()
        if known and set(known) != set(names):
            raise corrupt(self.path)

        def fetch(name: str) -> list[str]:
            place, digest = target / name, known.get(name)
            transfer.download(join(self.path, name), place, digest=digest)
            if self._reference.sha256 is None:
                return []
            return [name, digest or transfer.file_digest(place)]

        self._check(transfer.in_parallel(fetch, names))
        return str(target)

    def _check(self, arrived: list[list[str]]) -> None:
        expected = self._reference.sha256
        if expected is not None and folder_digest_of(arrived) != expected:
            raise corrupt(self.path)

    def _target(self, given: str | Path | None) -> Path:
        if given is not None:
            return Path(given).expanduser().absolute()
        return self._fresh_target("dir")

    def exists_sync(self) -> bool:
        """True when the directory is there."""
        return self.is_empty or super().exists_sync()

    # ------------------------------------------------------------- passed on (codec/codec.Hooked)

    def __flyte_encode__(self, writer: Any) -> Encoded:
        url, reference = self._settle(files_url(writer.files_url))
        fields = {**self.model_dump(mode="json"), "path": url}
        digest = digest_of("dir", self.hash or reference.known_by or url, self.format)
        for place in (url, listing_of(url)):
            force_to_disk(writer, place, reference)
        return write_reference("Dir", fields, reference, digest)

    def _settle(self, prefix: str | None) -> tuple[str, Reference]:
        known = self._reference
        if self.is_empty:
            return EMPTY, Reference(sha256=folder_digest_of([]))
        if is_remote(self.path):
            if known.known_by is None and self.hash is None:
                known = self._reference = replace(known, seen_as=listing_digest(self.path))
            return self.path, known
        folder = _existing(self.path)
        if known.kept:
            return self.path, known
        found = settle_folder(folder, prefix, stays=known.stays)
        return found.url, found.reference


def EmptyDir() -> Dir[Any]:  # noqa: N802 - Flyte's name
    """A directory without files."""
    return Dir.empty()


def _existing(path: str) -> Path:
    found = local_path(path)
    if not found.is_dir():
        raise MissingFileError(f"Directory not found: {found}")
    return found


def _cache_key(key: str | HashMethod | None, folder: Path) -> str | None:
    method = as_hash_method(key)
    return None if method is None else hash_files(method, list_local(folder))
