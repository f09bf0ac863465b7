"""Blobs in a local directory (or one that all machines mount and that has hard links).

An object is written whole into `_tmp/` and then given its name in one step: `link` for put-new
(fails if the name is taken), `replace` for put. So nobody ever sees half an object, and of two
creators exactly one wins. fsspec's local "create" looks first and then opens: 55 of 2,000 raced
keys had two winners.

`_tmp/` lies at the root and its files have no suffix: a temporary `*.parquet` in a folder that
DuckDB or Polars is globbing breaks them, even with a dot in front. A crash leaves at most a file
there, which nobody reads and `sweep_scratch` removes a day later.

`fsync=False` survives a killed process, not a power cut; `fsync=True` costs about 1 ms an object.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from flyte_ray.errors import StoreError, StoreUnwritableError

_SCRATCH = "_tmp"
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}
_RACES_WITH_DELETE = 20

_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class LocalBlobs:
    """`Blobs` in a directory. Thread- and process-safe; the directory is made when first needed."""

    objects_at_url = True

    def __init__(self, root: Path, *, fsync: bool = False) -> None:
        self._root = root
        self._scratch = root / _SCRATCH
        self._fsync = fsync

    @property
    def url(self) -> str:
        return str(self._root)

    def force_writes(self) -> None:
        """From now on as if made with `fsync=True`."""
        self._fsync = True

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        path = self._root / key
        with self._explained(key):
            temporary = self._write(parts)
            try:
                self._place(temporary, path, anew=False)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """A file that becomes the object when the block ends well; for what memory cannot hold."""
        with self._explained(key):
            temporary = self._scratch / uuid4().hex
            descriptor = self._create(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                if self._fsync:
                    file.flush()
                    _sync_data(file.fileno())
            with self._explained(key):
                self._place(temporary, self._root / key, anew=False)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put_new(self, key: str, data: bytes) -> bool:
        path = self._root / key
        with self._explained(key):
            temporary = self._write((data,))
            try:
                self._place(temporary, path, anew=True)
            except FileExistsError:
                return path.read_bytes() == data
            finally:
                temporary.unlink(missing_ok=True)
        return True

    def get(self, key: str) -> bytes:
        with self._explained(key):
            try:
                return (self._root / key).read_bytes()
            except NotADirectoryError as error:
                raise FileNotFoundError(errno.ENOENT, "no such object", key) from error

    def exists(self, key: str) -> bool:
        with self._explained(key):
            return (self._root / key).is_file()

    def list(self, prefix: str) -> Sequence[str]:
        with self._explained(prefix):
            try:
                with os.scandir(self._root / prefix) as entries:
                    names = sorted(entry.name for entry in entries)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return [name for name in names if name != _SCRATCH] if prefix == "" else names

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._root / key
            with self._explained(key):
                path.unlink(missing_ok=True)
                self._remove_empty_folders(path.parent)

    def sweep_scratch(self, *, older_than_s: float = 24 * 3600) -> int:
        """Remove what crashed writers have left; how many files. What is written to is young."""
        try:
            left = list(self._scratch.iterdir())
        except FileNotFoundError:
            return 0
        before_s = time.time() - older_than_s
        old = [path for path in left if _changed_s(path) < before_s]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def force(self, path: Path) -> None:
        """See that a file, or a folder of files, is on the disk, if writes here are forced to it.

        Others have put it into place, anywhere. What is on the disk already costs little.
        """
        if not self._fsync or not path.exists():
            return
        folders = {path.parent, *path.parent.parents}
        for each in [path, *path.rglob("*")]:
            if each.is_dir():
                folders.add(each)
            elif each.is_file():  # not a pipe, which would wait for its writer
                self._sync_folder(each)
        for folder in folders:
            # Above the store lies what others have made, and may not let us open.
            with suppress(PermissionError):
                self._sync_folder(folder)

    def _write(self, parts: Iterable[bytes | bytearray | memoryview]) -> Path:
        """A finished file that nobody knows of yet."""
        temporary = self._scratch / uuid4().hex
        descriptor = self._create(temporary)
        try:
            for part in parts:
                self._write_all(descriptor, part)
            if self._fsync:
                _sync_data(descriptor)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return temporary

    def _create(self, temporary: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(temporary, flags, 0o666)
        except FileNotFoundError:
            self._make_folder(self._scratch)
            return os.open(temporary, flags, 0o666)

    def _write_all(self, descriptor: int, part: bytes | bytearray | memoryview) -> None:
        rest = memoryview(part).cast("B")
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def _place(self, temporary: Path, path: Path, *, anew: bool) -> None:
        """Give the file its name; the folder is made on demand, and again if one deletes it."""
        for turn in range(_RACES_WITH_DELETE):
            try:
                if anew:
                    path.hardlink_to(temporary)
                else:
                    temporary.replace(path)
                break
            except FileNotFoundError:
                if turn == _RACES_WITH_DELETE - 1:
                    raise
                self._make_folder(path.parent)
        if self._fsync:
            self._sync_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        """Make the folder and those above; in vain if another process removes an empty one."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            try:
                self._make_one_folder(each)
            except FileNotFoundError:
                return  # the one above was removed: whoever asked finds out, and asks again

    def _make_one_folder(self, folder: Path) -> None:
        try:
            folder.mkdir()
        except FileExistsError:
            if _is_in_the_way(folder):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder)) from None
        if self._fsync:
            self._sync_folder(folder.parent)

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_empty_folders(self, folder: Path) -> None:
        """Object stores know no folders: one that is empty must not be listed here either."""
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Turn what the operating system says into what the user can do."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._explain(key, error) from error

    def _explain(self, key: str, error: OSError) -> StoreError:
        where = f"{self._root}/{key}"
        if error.errno in _FULL:
            return StoreError(
                f"no space left for {where}: free some space on the disk of the store, or move the"
                " store with FLYTE_RAY_STORE. Nothing half-written is visible."
            )
        if error.errno in _NO_LINKS and error.filename2 is not None:
            return StoreUnwritableError(
                f"the file system of {self._root} has no hard links ({error.strerror}), so objects"
                " cannot be created safely there: choose a local disk or a bucket with"
                " FLYTE_RAY_STORE."
            )
        if error.errno in _DENIED:
            return StoreUnwritableError(
                f"no access to {where} ({error.strerror}): check the owner and mode of"
                f" {self._root}, or choose another store with FLYTE_RAY_STORE."
            )
        return StoreError(
            f"the store failed at {where} ({error.strerror}): check the disk, then try again."
        )


def _is_in_the_way(path: Path) -> bool:
    """True where no folder can be made: a file is there, or a link that leads nowhere."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
