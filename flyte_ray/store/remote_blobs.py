"""Blobs through fsspec: gs://, s3://, memory:// and whatever else a client library serves.

Put-new is the client's `mode="create"` (GCS: ifGenerationMatch=0, S3: If-None-Match). A client that
repeats a request whose reply was lost hears "exists" of its *own* object (gcsfs does), so that word
is never believed: the object is read back, and equal bytes are a success. Therefore everything that
is created conditionally must hold something unique to its writer.

Listing caches are off. Transient failures (409, 429, 5xx, timeouts, dropped connections) are
repeated with the same bytes and a bounded backoff; after that they are a `StoreError`, and who
waits longer decides that itself (`ledger`).

gcsfs is registered by the class path of its plain class: the default one asks every bucket's type
over gRPC first, which stalls 60 s per operation against an emulator.
"""

from __future__ import annotations

import errno
import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from flyte_ray.errors import ConfigurationError, StoreError, StoreUnwritableError

logger = logging.getLogger(__name__)

for _protocol in ("gs", "gcs"):
    fsspec.register_implementation(_protocol, "gcsfs.core.GCSFileSystem", clobber=True)

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "adl": "azure",
}
_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.05
_PAUSE_GROWTH = 4
_TRANSIENT_STATUS = {408, 409, 425, 429}
_DENIED_STATUS = {401, 403}
_NO_CREDENTIALS = {
    "DefaultCredentialsError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "UnauthorizedSSOTokenError",
}
"""Errors of the clients of S3 and GCS: no service was asked, and asking again changes nothing."""
_TRANSIENT_ERRNO = {errno.EIO, errno.EBUSY, errno.EAGAIN, errno.EPIPE, errno.ETIMEDOUT}
_NETWORK_LIBRARIES = {"aiohttp", "botocore", "http", "requests", "urllib3", "asyncio"}

# The memory store belongs to the process and its "create" looks first and writes then.
_memory_turn = threading.Lock()

T = TypeVar("T")


class FsspecBlobs:
    """`Blobs` on a file system of fsspec. Thread-safe where the client is (gcsfs, s3fs are)."""

    def __init__(
        self, filesystem: Any, root: str, *, url: str, first_pause_s: float = _FIRST_PAUSE_S
    ) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._url = url
        self._first_pause_s = first_pause_s
        # For those who move large objects by themselves, in parts: buckets, whose clients replace
        # the old object by a whole new one. Others write over it as they go.
        self.objects_at_url = isinstance(filesystem, AsyncFileSystem)
        self._turn: AbstractContextManager[Any] = (
            _memory_turn if isinstance(filesystem, MemoryFileSystem) else nullcontext()
        )
        if not creates_atomically(filesystem):
            logger.warning(
                "%s has no atomic create: two owners of one run would not notice each other there",
                url,
            )

    @classmethod
    def open(cls, url: str) -> FsspecBlobs:
        """Find the client library for the URL. Raises `ConfigurationError`."""
        protocol = url.partition("://")[0].rpartition("::")[2]
        try:
            filesystem, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            extra = _EXTRAS.get(protocol)
            remedy = f"pip install 'flyte-ray[{extra}]'" if extra else str(error)
            raise ConfigurationError(f"{url} needs a package that is missing: {remedy}") from error
        except ValueError as error:
            raise ConfigurationError(
                f"{url} is no store that can be opened ({error}): use a directory, gs://, s3:// or"
                " memory://"
            ) from error
        return cls(filesystem, root, url=url)

    @property
    def url(self) -> str:
        return self._url

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        data = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        with self._turn:
            self._write(key, data, "overwrite")

    def put_new(self, key: str, data: bytes) -> bool:
        try:
            with self._turn:
                self._write(key, data, "create")
        except FileExistsError:
            return self.get(key) == data
        return True

    def get(self, key: str) -> bytes:
        found = self._tried(key, lambda: self._filesystem.cat_file(self._path(key)))
        return bytes(found)

    def exists(self, key: str) -> bool:
        # Not `isfile`: fsspec's answers False also when the store is away.
        path = self._path(key)
        self._filesystem.invalidate_cache()
        try:
            found = self._tried(key, lambda: self._filesystem.info(path))
        except FileNotFoundError:
            return False
        return bool(found["type"] == "file")

    def list(self, prefix: str) -> Sequence[str]:
        folder = self._path(prefix.strip("/")).rstrip("/")
        self._filesystem.invalidate_cache()
        try:
            paths = self._tried(prefix, lambda: self._filesystem.ls(folder, detail=False))
        except FileNotFoundError:
            return []
        below = {str(path).rstrip("/") for path in paths} - {folder, folder.lstrip("/")}
        return sorted(path.rpartition("/")[2] for path in below)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._remove(key)

    def _remove(self, key: str) -> None:
        path = self._path(key)
        try:
            self._tried(key, lambda: self._filesystem.rm_file(path))
        except FileNotFoundError:
            return

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _write(self, key: str, data: bytes, mode: str) -> None:
        path = self._path(key)
        try:
            self._tried(key, lambda: self._filesystem.pipe_file(path, data, mode=mode))
        except FileNotFoundError as error:
            raise StoreUnwritableError(
                f"the bucket of {self._url} does not exist: create it, or choose another store"
                " with FLYTE_RAY_STORE"
            ) from error

    def _tried(self, key: str, operation: Callable[[], T]) -> T:
        """Carry out one request, repeating it while it fails for a passing reason."""
        pause_s = self._first_pause_s
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return operation()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:
                if attempt == _ATTEMPTS or not is_transient(error):
                    raise self._explain(key, error) from error
                logger.debug("%s/%s: %r, trying again", self._url, key, error)
            threading.Event().wait(pause_s * random.uniform(0.5, 1.5))
            pause_s *= _PAUSE_GROWTH
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _explain(self, key: str, error: Exception) -> StoreError:
        where = f"{self._url.rstrip('/')}/{key}"
        if (
            isinstance(error, PermissionError)
            or _status(error) in _DENIED_STATUS
            or _is_nobody(error)
        ):
            return StoreUnwritableError(
                f"no access to {where} ({error}): check the credentials and the bucket's policy,"
                " or choose another store with FLYTE_RAY_STORE"
            )
        return StoreError(
            f"the store does not answer at {where} ({type(error).__name__}: {error}): check the"
            " network and the service, then try again"
        )


def creates_atomically(filesystem: Any) -> bool:
    """False where fsspec itself looks first and then writes."""
    if isinstance(filesystem, MemoryFileSystem):
        return True  # `FsspecBlobs` takes turns on it
    kind = type(filesystem)
    if isinstance(filesystem, AsyncFileSystem):
        return kind._pipe_file is not AsyncFileSystem._pipe_file
    return kind.pipe_file is not fsspec.AbstractFileSystem.pipe_file


def is_transient(error: BaseException) -> bool:
    """True when the same request may well succeed a moment later."""
    status = _status(error)
    if status is not None:
        return status in _TRANSIENT_STATUS or status >= 500
    if _is_nobody(error):
        return False
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return True
    return any(
        type(each).__module__.partition(".")[0] in _NETWORK_LIBRARIES for each in _chain(error)
    )


def _is_nobody(error: BaseException) -> bool:
    return any(type(each).__name__ in _NO_CREDENTIALS for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it; clients hide the reply's status in the cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status a client's error carries: `code` (gcsfs), `status` (aiohttp), botocore's."""
    for each in _chain(error):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return status
        for name in ("code", "status", "status_code"):
            status = getattr(each, name, None)
            if isinstance(status, str) and status.isdecimal():
                status = int(status)
            if isinstance(status, int) and 100 <= status < 600:
                return status
    return None
