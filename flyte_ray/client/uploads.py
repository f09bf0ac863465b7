"""Files of the author's machine into the store, before any run asks for them.

Named by their content (`uploads/<md5>/<name>`), so that the same file is one object and may be sent
again without harm. Flyte's callers want the md5; the record's own digests are sha256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from flyte_ray.client.dual import blocking
from flyte_ray.client.session import current_session
from flyte_ray.io.keeping import copy_folder
from flyte_ray.io.transfer import upload

FOLDER = "uploads"


@blocking
def upload_file(
    path: str | Path,
    verify: bool = True,
    fname: str | None = None,
    content_type: str | None = None,
) -> tuple[str, str]:
    """Copy a file into the store; its md5 and its URL.

    Args:
        path: an existing file.
        verify: accepted; a file appears in the store only when it is complete.
        fname: its name there; its own by default.
        content_type: accepted; object stores guess it from the name.

    Raises:
        FileNotFoundError: there is no such file.
    """
    source = _existing(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source} is no file; upload_dir takes folders")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    url = _place(digest, fname or source.name)
    upload(source, url)
    return digest, url


@blocking
def upload_dir(path: str | Path, verify: bool = True, prefix: str | None = None) -> str:
    """Copy a folder with all below it into the store; its URL.

    Args:
        path: an existing folder.
        verify: accepted; see `upload_file`.
        prefix: its name there; made from names and contents by default.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    source = _existing(path)
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is no folder; upload_file takes files")
    files = sorted(file for file in source.rglob("*") if file.is_file())
    url = _place(prefix or _digest_of(source, files), source.name)
    copy_folder(source, url)
    return url


def _existing(path: str | Path) -> Path:
    source = Path(path).expanduser().absolute()
    if not source.exists():
        raise FileNotFoundError(f"there is nothing at {source}")
    return source


def _place(prefix: str, name: str) -> str:
    session = current_session()
    session.require_writable()
    return f"{session.store_url.rstrip('/')}/{FOLDER}/{prefix.strip('/')}/{name}"


def _digest_of(root: Path, files: list[Path]) -> str:
    def lines() -> Iterator[bytes]:
        for path in files:
            with path.open("rb") as file:
                yield path.relative_to(root).as_posix().encode()
                yield hashlib.file_digest(file, "md5").digest()

    return hashlib.md5(b"\0".join(lines()), usedforsecurity=False).hexdigest()
