"""Opens the object store below a root URL, and finds out whether it can be used.

A plain path or file:// is a `LocalBlobs`, anything else goes through fsspec. The rest of the floor
knows only the port (`core.ports.Blobs`) and never the scheme of a URL.

`check_writable` is asked before a run starts: a store that cannot be written, belongs to a newer
release or does not honour put-if-absent is refused then, not in the middle of the run.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError, StoreUnwritableError
from flyte_ray.store import layout
from flyte_ray.store.local_blobs import LocalBlobs

if TYPE_CHECKING:
    from flyte_ray.store.remote_blobs import FsspecBlobs

FORMAT_VERSION = 1
"""Raised when an older release could no longer read what this one writes."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(::|://)")
_LOCAL = re.compile(r"(file|local)://")


def open_blobs(url: str, *, fsync: bool | None = None) -> Blobs:
    """The store at a path, file://, memory://, gs://, s3:// or any other URL of fsspec.

    Nothing is read or written yet. `fsync` forces local writes to the disk (default: no).

    Raises:
        ConfigurationError: the URL has no client library, or one that is not installed.
    """
    if _LOCAL.match(url):
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise ConfigurationError(
                f"{url} names the host {parts.netloc!r}: write file:///absolute/path"
            )
        return LocalBlobs(Path(unquote(parts.path)), fsync=bool(fsync))
    if _URL.match(url):
        # By name: fsspec costs 50 ms of import, which a script on a local store need not pay.
        remote = import_module("flyte_ray.store.remote_blobs")
        return cast("type[FsspecBlobs]", remote.FsspecBlobs).open(url)
    if not url.strip():
        raise ConfigurationError(
            "the store's URL is empty: set FLYTE_RAY_STORE to a directory or URL"
        )
    return LocalBlobs(Path(url).expanduser().absolute(), fsync=bool(fsync))


def is_local(blobs: Blobs) -> bool:
    """True where an operation costs microseconds, not a network round trip."""
    if getattr(blobs, "latency_s", 0):  # a store that tests have slowed down
        return False
    return "://" not in blobs.url or blobs.url.startswith("memory://")


def check_writable(blobs: Blobs) -> None:
    """Refuse a store in which a run could not be kept. Costs three round trips.

    Raises:
        StoreUnwritableError: it cannot be written, or its put-if-absent overwrites.
        ConfigurationError: a newer release wrote it in a format that this one cannot read.
    """
    key = layout.probe(uuid4().hex)
    try:
        is_new = not _is_known(blobs)
        written = blobs.put_new(key, key.encode())
        # A first use also proves what everything rests on; some emulators ignore the condition.
        honest = not is_new or not blobs.put_new(key, b"another")
        blobs.delete([key])
    except StoreUnwritableError:
        raise
    except (StoreError, OSError) as error:
        raise StoreUnwritableError(
            f"the store {blobs.url} cannot be written: {error} Choose another one with"
            " FLYTE_RAY_STORE."
        ) from error
    if not (written and honest):
        raise StoreUnwritableError(
            f"the store {blobs.url} overwrites objects that must be written once (it ignores"
            " conditional writes), so a run could lose results there: choose another store with"
            " FLYTE_RAY_STORE."
        )
    if is_new:
        blobs.put_new(layout.FORMAT, _format())


def _format() -> bytes:
    return json.dumps({"format": FORMAT_VERSION, "min_reader": FORMAT_VERSION}).encode()


def _is_known(blobs: Blobs) -> bool:
    """True for a store that was used before and that this release can read."""
    try:
        stored: dict[str, Any] = json.loads(blobs.get(layout.FORMAT))
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise StoreUnwritableError(
            f"{blobs.url}/{layout.FORMAT} is damaged ({error}): restore it, or choose another store"
            " with FLYTE_RAY_STORE."
        ) from error
    needed = int(stored.get("min_reader", FORMAT_VERSION))
    if needed > FORMAT_VERSION:
        raise ConfigurationError(
            f"the store {blobs.url} was written by a newer release (format {needed}, this one reads"
            f" {FORMAT_VERSION}): upgrade flyte-ray, or choose another store with FLYTE_RAY_STORE."
        )
    return True
