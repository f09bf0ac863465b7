"""`File`: a file by reference, known by its content.

A `File` holds a URL and does nothing when it is passed on. When one enters a run (see `io/keeping`)
its bytes are stored under their digest, so tasks on other machines find them, and the same bytes
under another name are the same input to a cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic

from pydantic import PrivateAttr

from flyte_ray.codec.codec import Encoded
from flyte_ray.io import transfer
from flyte_ray.io.hashing import HashMethod, as_hash_method, hash_stream
from flyte_ray.io.keeping import keep_file, settle_file
from flyte_ray.io.located import Located, T
from flyte_ray.io.patience import patiently
from flyte_ray.io.places import (
    MissingFileError,
    base_name,
    files_url,
    fingerprint,
    is_remote,
    local_path,
    named_url,
    random_url,
)
from flyte_ray.io.reference import Reference, Settled, digest_of, force_to_disk, write_reference
from flyte_ray.io.streams import AsyncFile, Written, awaited, reading, writing


class File(Located[T], Generic[T]):
    """A file of any kind, by reference. `File[T]` says what is in it, for readers only.

    Example:
        >>> file = File(path="gs://bucket/table.csv")
        >>> file.name
        'table.csv'
    """

    __flyte_codec__: ClassVar[str] = "file"
    _settled: Settled | None = PrivateAttr(default=None)

    # ------------------------------------------------------------- making one

    @classmethod
    def new_remote(
        cls, file_name: str | None = None, hash_method: HashMethod | str | None = None
    ) -> File[T]:
        """A file to be written, at a place of its own in the run's files.

        Raises:
            ValueError: outside of a task.
        """
        return cls(path=random_url(file_name), hash_method=as_hash_method(hash_method))

    @classmethod
    def named_remote(cls, name: str) -> File[T]:
        """A file at a place that only the name decides, in the run's base directory.

        Raises:
            ValueError: outside of a task.
        """
        return cls(path=named_url(name))

    @classmethod
    def from_existing_remote(cls, remote_path: str, file_cache_key: str | None = None) -> File[T]:
        """A reference to a file that stays where it is.

        Args:
            remote_path: any URL that fsspec knows, or a path on shared storage.
            file_cache_key: what the file is known by in cache keys, instead of its content.
        """
        return cls._at(remote_path, Reference(stays=True), hash=file_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> File[T]:
        """A local file, taken into the run (in a script: when it is passed to one).

        Args:
            local_path: an existing file.
            remote_destination: URL to copy it to, instead of the run's own files.
            hash_method: what it is known by in cache keys, instead of its content.
            chunk_size: bytes per part of the upload.
            max_concurrency: parts on their way at the same time.

        Raises:
            ValueError: (also a `FileNotFoundError`) there is no such file.
        """
        return _take_in(
            cls,
            Path(local_path),
            remote_destination,
            hash_method,
            {"chunk_bytes": chunk_size, "at_once": max_concurrency},
        )

    @classmethod
    async def from_local(
        cls,
        local_path: str | Path,
        remote_destination: str | None = None,
        hash_method: HashMethod | str | None = None,
        chunk_size: int | None = None,
        max_concurrency: int | None = None,
    ) -> File[T]:
        """`from_local_sync`, awaited."""
        return await asyncio.to_thread(
            cls.from_local_sync,
            local_path,
            remote_destination,
            hash_method,
            chunk_size,
            max_concurrency,
        )

    # ------------------------------------------------------------- using one

    @contextmanager
    def open_sync(
        self,
        mode: str = "rb",
        block_size: int | None = None,
        cache_type: str | None = "readahead",
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Open for reading or writing, streaming.

        Args:
            mode: as for `open`.
            block_size: bytes that are fetched, or sent, at a time.
            cache_type: fsspec's read-ahead strategy.
            cache_options: for that strategy.
            compression: "gzip", "zstd", …, or "infer" from the name.
            kwargs: for fsspec.

        Raises:
            ValueError: (also a `FileNotFoundError`) there is no file to read.
        """
        options = {"block_size": block_size, "compression": compression, **kwargs}
        if mode[0] == "r" and "+" not in mode:
            options.update(cache_type=cache_type, cache_options=cache_options)
            with reading(self.path, mode, digest=self._reference.sha256, **options) as file:
                yield file
            return
        if self._reference.kept:
            raise ValueError(f"{self.path} is recorded and stays; write to a File.new_remote(...)")
        written = Written()
        method = as_hash_method(self.hash_method)
        with writing(self.path, mode, written, method, **options) as file:
            yield file
        self._reference = Reference(sha256=written.sha256)
        self.hash = written.hash or self.hash

    @asynccontextmanager
    async def open(self, mode: str = "rb", **options: Any) -> AsyncIterator[AsyncFile]:
        """Open; the file's methods are awaited. Takes what `open_sync` takes."""
        async with awaited(self.open_sync(mode, **options)) as file:
            yield file

    def download_sync(self, local_path: str | Path | None = None) -> str:
        """A local copy, checked where the content's digest is known; its path.

        A local file without a target is its own copy. A target that is a directory (or ends in a
        slash) keeps the file's name.

        Raises:
            ValueError: (also a `FileNotFoundError`) there is no such file.
            DigestMismatchError: the bytes are not those that were stored.
        """
        if local_path is None and not is_remote(self.path):
            found = _existing(self.path)
            if self._reference.kept:
                transfer.verify(found, self._reference.sha256 or "")
            return str(found)
        target = self._target(local_path)
        transfer.download(self.path, target, digest=self._reference.sha256)
        return str(target)

    def _target(self, given: str | Path | None) -> Path:
        name = self.name or base_name(self.path) or "file"
        if given is None:
            return self._fresh_target("file")
        target = Path(given).expanduser().absolute()
        return target / name if target.is_dir() or str(given).endswith(("/", "\\")) else target

    # ------------------------------------------------------------- passed on (codec/codec.Hooked)

    def __flyte_encode__(self, writer: Any) -> Encoded:
        url, reference = self._settle(files_url(writer.files_url))
        fields = {**self.model_dump(mode="json"), "path": url}
        digest = digest_of("file", self.hash or reference.known_by or url, self.format)
        force_to_disk(writer, url, reference)
        return write_reference(type(self).__name__, fields, reference, digest)

    def _settle(self, prefix: str | None) -> tuple[str, Reference]:
        """Take a local file into the run; where it is then, and what is known of it."""
        known = self._reference
        if is_remote(self.path):
            if known.known_by is None and self.hash is None:
                known = self._reference = replace(known, seen_as=fingerprint(self.path))
            return self.path, known
        path = _existing(self.path)
        if known.kept:
            return self.path, known
        if self._settled is None or not self._settled.still_holds(path, prefix):
            self._settled = settle_file(path, prefix, stays=known.stays, name=self.name or "")
        return self._settled.url, self._settled.reference


def _existing(path: str) -> Path:
    found = local_path(path)
    if not found.exists():
        raise MissingFileError(f"File not found: {found}")
    return found


def _take_in(
    cls: type[File[T]],
    path: Path,
    destination: str | None,
    method: HashMethod | str | None,
    pace: dict[str, int | None],
) -> File[T]:
    path = path.expanduser().absolute()
    if not path.is_file():
        raise MissingFileError(f"File not found: {path}")
    hash_method = as_hash_method(method)
    prefix = files_url()
    if destination is not None:
        digest = transfer.file_digest(path)
        patiently(destination, lambda: transfer.upload(path, destination, **pace))
        file = cls._at(destination, Reference(sha256=digest, stays=True), name=path.name)
    elif prefix is not None:
        kept = patiently(prefix, lambda: keep_file(path, prefix, pace=pace))
        file = cls._at(kept.url, Reference(sha256=kept.digest, kept=True), name=path.name)
    else:
        file = cls(path=str(path))
    if hash_method is not None:
        with path.open("rb") as source:
            file.hash = hash_stream(hash_method, source)
    return file
