"""Where files lie: URLs, their file systems, and the prefix under which a run keeps its own.

Any URL that fsspec knows will do. A path without a scheme is local. Listings are never cached:
another worker may have written since.
"""

from __future__ import annotations

import importlib
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec

from flyte_ray.core import context
from flyte_ray.errors import ConfigurationError, DigestMismatchError, UsageError
from flyte_ray.io.credentials import said_in_environment

# By its class path, so that nothing imports it before it is used; and the plain class, since the
# default one asks every bucket for its type over gRPC first.
for _protocol in ("gs", "gcs"):
    fsspec.register_implementation(_protocol, "gcsfs.core.GCSFileSystem", clobber=True)

_EXTRAS = {"s3": "s3", "s3a": "s3", "az": "azure", "abfs": "azure", "abfss": "azure"}


class MissingFileError(UsageError, ValueError, FileNotFoundError):
    """A file or directory that is to be handed over does not exist."""


def corrupt(url: str) -> DigestMismatchError:
    """The error for content that is not what its digest says."""
    return DigestMismatchError(
        f"{url} is not what was stored: its digest differs. It is not handed over; rerun the "
        f"action that made it.",
        url=url,
    )


def is_remote(url: str) -> bool:
    """True for a URL that is not on this machine's file system."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme not in ("file", "local")


def local_path(url: str) -> Path:
    """The path behind a local URL, absolute."""
    for scheme in ("file://", "local://"):
        if url.startswith(scheme):
            url = url[len(scheme) :]
    return Path(url).expanduser().absolute()


def join(url: str, *names: str) -> str:
    """A URL below another one."""
    return "/".join([url.rstrip("/"), *(name.strip("/") for name in names)])


def base_name(url: str) -> str:
    """The last part of a URL or path."""
    return url.rstrip("/").rpartition("/")[2].partition("?")[0]


@lru_cache(maxsize=256)
def _filesystem(scheme: str) -> Any:
    options = said_in_environment(scheme)
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        remedy = f"pip install 'flyte-ray[{extra}]'" if extra else str(error)
        raise ConfigurationError(
            f"{scheme}:// needs a package that is missing: {remedy}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"{scheme}:// is no protocol that fsspec knows") from error


def filesystem_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it.

    Raises:
        ConfigurationError: nobody knows the protocol, or its package is missing.
    """
    if not is_remote(url):
        return _filesystem("file"), str(local_path(url))
    if "::" in url:
        filesystem, path = fsspec.core.url_to_fs(url)
        return filesystem, path
    scheme = url.partition("://")[0]
    filesystem = _filesystem(scheme)
    return filesystem, filesystem._strip_protocol(url)


def files_url(given: str | None = None) -> str | None:
    """The prefix for files of the run, or None outside of one.

    Args:
        given: what the value store says of it, which goes first.
    """
    if given:
        return given
    here = context.current()
    if here is None:
        return None
    run = here.run
    if run.raw_data_path:
        return run.raw_data_path
    return join(run.store_url, "runs", run.name, "files") if run.store_url else None


def base_url() -> str | None:
    """The run's base directory, for names of the author's choosing; None outside of a run."""
    here = context.current()
    return files_url() if here is None else (here.run.run_base_dir or files_url())


def random_url(name: str | None) -> str:
    """A place in the run's files that nobody else uses.

    Raises:
        ValueError: outside of a task.
    """
    prefix = files_url()
    if prefix is None:
        raise ValueError(
            "new_remote needs a running task, whose run has a place for files; outside of one use "
            "from_local, or from_existing_remote for what is already there"
        )
    place = join(prefix, "new", uuid.uuid4().hex)
    return join(place, name) if name else place


def named_url(name: str) -> str:
    """A place in the run's base directory.

    Raises:
        ValueError: outside of a task, or the name leads out of the directory.
    """
    base = base_url()
    if base is None:
        raise ValueError("named_remote needs a running task, whose run has a base directory")
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"'{name}' is no name below the run's base directory")
    return join(base, name)


def fingerprint(url: str) -> str | None:
    """What the store says of an object's content, so that the same content is known again.

    A checksum if it has one, else size and time with the URL; None if nothing can be learned.

    Raises:
        MissingFileError: there is no such object.
    """
    filesystem, path = filesystem_of(url)
    try:
        info = filesystem.info(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {url}") from error
    except OSError:
        return None
    return describe(url, info)


def describe(url: str, info: dict[str, Any]) -> str:
    """What a store's listing says of one object: a checksum, or URL, size and time."""
    for name in ("md5Hash", "content_md5", "ETag", "etag", "crc32c"):
        if info.get(name):
            return f"{name}:{str(info[name]).strip(chr(34))}:{info.get('size')}"
    times = [
        f"{name}={info[name]}"
        for name in ("generation", "mtime", "LastModified", "updated")
        if info.get(name)
    ]
    return f"{url}:{info.get('size')}:{','.join(times)}"


def arrow() -> Any:
    """The room of tables; loaded here, since `import flyte_ray.io` must not import pyarrow."""
    return importlib.import_module("flyte_ray.codec.arrow")
