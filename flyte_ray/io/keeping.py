"""Takes files into a run: content-addressed, once, copied.

A local file that enters a run (made by a task, or handed in by the driver) is copied to the run's
files under its own digest. Copied even where the store is local: a link would let the author's next
write change what the record says. The same bytes under another name are the same object.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.io.patience import answering
from flyte_ray.io.places import (
    MissingFileError,
    corrupt,
    filesystem_of,
    is_remote,
    join,
    local_path,
)
from flyte_ray.io.reference import Reference, Settled, is_settled, signature_of
from flyte_ray.io.transfer import (
    FILES_AT_ONCE,
    arriving,
    exists,
    file_digest,
    in_parallel,
    upload,
)

CONTENT = "sha256"
FOLDERS = "folders"
_LONGEST_SUFFIX = 20

_lock = threading.Lock()
_kept: set[str] = set()
"""URLs that this process has seen complete; a hint only, it may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Content that has an address of its own."""

    url: str
    digest: Digest


def _suffix(name: str) -> str:
    """The endings of a file name, which tell readers its format."""
    endings = "".join(Path(name).suffixes[-2:])
    return endings if len(endings) <= _LONGEST_SUFFIX and endings.isascii() else ""


def is_kept(url: str, size_bytes: int | None = None) -> bool:
    """True when a content-addressed object is there already, whole as far as its size can tell."""
    with _lock:
        if url in _kept:
            return True
    if size_bytes is None:
        return exists(url)
    filesystem, path = filesystem_of(url)
    try:
        return filesystem.info(path).get("size") in (size_bytes, None)
    except FileNotFoundError:
        return False


def note_kept(url: str) -> None:
    """Remember that an object is complete."""
    with _lock:
        _kept.add(url)


def forget() -> None:
    """Forget which objects were seen; for processes whose store was cleared."""
    with _lock:
        _kept.clear()


def _signature(path: Path) -> tuple[int, int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ino


def keep_file(
    path: Path, prefix: str, *, name: str = "", pace: Mapping[str, int | None] | None = None
) -> Kept:
    """Copy a local file to its address below `prefix`, unless it is there.

    Raises:
        MissingFileError: there is no such file.
        OSError: it was changed while it was copied.
        StoreError: the store is away.
    """
    if not path.is_file():
        raise MissingFileError(f"File not found: {path}")
    before = _signature(path)
    digest = file_digest(path)
    url = join(prefix, CONTENT, digest[:2], digest + _suffix(name or path.name))
    with answering(url):
        if not is_kept(url, before[0]):
            _take_in(path, url, before, pace or {})
    return Kept(url=url, digest=digest)


def _take_in(
    path: Path, url: str, before: tuple[int, int, int], pace: Mapping[str, int | None]
) -> None:
    upload(path, url, **pace)
    if _signature(path) != before:
        _discard(url)
        raise OSError(f"{path} was changed while it was copied; close it before handing it on")
    if not is_remote(url):
        # The author gets this very path to read from; an edit in place would forge the record.
        local_path(url).chmod(0o444)
    note_kept(url)


def _discard(url: str) -> None:
    filesystem, path = filesystem_of(url)
    filesystem.rm_file(path)


def list_local(folder: Path) -> list[tuple[str, Path]]:
    """Relative name and path of every file below a folder, sorted by name.

    Raises:
        MissingFileError: there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError(f"Directory not found: {folder}")
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((path.relative_to(folder).as_posix(), path) for path in found)


def folder_entries(folder: Path, at_once: int = FILES_AT_ONCE) -> list[list[str]]:
    """`[name, sha256]` of every file of a local folder, sorted by name."""
    files = list_local(folder)
    digests = in_parallel(lambda entry: file_digest(entry[1]), files, at_once)
    return [[name, digest] for (name, _), digest in zip(files, digests, strict=True)]


def folder_digest(folder: Path, at_once: int = FILES_AT_ONCE) -> Digest:
    """The digest of a folder: names and contents of its files."""
    return folder_digest_of(folder_entries(folder, at_once))


def folder_digest_of(entries: list[list[str]]) -> Digest:
    """The digest of a folder from `[name, sha256]` of each file."""
    return digest_json(["folder", sorted(entries)])


def keep_folder(
    folder: Path, prefix: str, *, at_once: int = FILES_AT_ONCE, chunk_bytes: int | None = None
) -> Kept:
    """Copy a local folder to its address below `prefix`, unless it is there.

    The list of its files is written last, beside it: without it the copy is not complete.

    Raises:
        MissingFileError: there is no such folder.
        ValueError: it holds no file.
        OSError: it was changed while it was copied.
        StoreError: the store is away.
    """
    before = _signatures(folder)
    entries = folder_entries(folder, at_once)
    if not entries:
        raise ValueError(
            f"{folder} holds no file, and stores know no empty directories; "
            f"hand on Dir.empty() instead"
        )
    digest = folder_digest_of(entries)
    url = join(prefix, FOLDERS, digest)
    listing = listing_of(url)
    with answering(url):
        if not (is_kept(listing) and _is_whole(url, folder, entries)):
            copy_folder(folder, url, at_once=at_once, chunk_bytes=chunk_bytes)
            _complete(folder, url, before, entries)
            note_kept(listing)
    return Kept(url=url, digest=digest)


def _complete(
    folder: Path, url: str, before: list[tuple[int, int, int]], entries: list[list[str]]
) -> None:
    if _signatures(folder) != before:
        filesystem, path = filesystem_of(url)
        filesystem.rm(path, recursive=True)
        raise OSError(f"{folder} was changed while it was copied; hand it on when it is done")
    if not is_remote(url):
        for name, _ in entries:
            local_path(join(url, name)).chmod(0o444)
    _write_listing(listing_of(url), entries)


def listing_of(url: str) -> str:
    """Where the list of the files of a folder stands that was kept at `url`."""
    return f"{url}.json"


def _write_listing(url: str, entries: list[list[str]]) -> None:
    data = json.dumps(entries).encode()
    if is_remote(url):
        filesystem, path = filesystem_of(url)
        filesystem.pipe_file(path, data)
        return
    with arriving(local_path(url)) as partial:
        partial.write_bytes(data)


def _is_whole(url: str, folder: Path, entries: list[list[str]]) -> bool:
    """False for what a power cut left of a local folder: names without content."""
    if is_remote(url):
        return True
    try:
        if json.loads(local_path(listing_of(url)).read_bytes()) != entries:
            return False
        sizes = [(local_path(join(url, n)).stat(), (folder / n).stat()) for n, _ in entries]
    except (OSError, ValueError):
        return False
    return all(there.st_size == here.st_size for there, here in sizes)


def _signatures(folder: Path) -> list[tuple[int, int, int]]:
    return [_signature(path) for _, path in list_local(folder)]


def kept_listing(url: str, digest: Digest) -> dict[str, Digest]:
    """Name to digest of each file of a folder that was kept at `url`.

    Raises:
        MissingFileError: there is no such folder.
        DigestMismatchError: the list is not what was stored.
    """
    listing = listing_of(url)
    filesystem, path = filesystem_of(listing)
    try:
        entries = json.loads(filesystem.cat_file(path))
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no directory {url}, or no file in it") from error
    except ValueError as error:
        raise corrupt(listing) from error
    if digest_json(["folder", entries]) != digest:
        raise corrupt(listing)
    return dict(entries)


def copy_folder(
    folder: Path, url: str, *, at_once: int = FILES_AT_ONCE, chunk_bytes: int | None = None
) -> None:
    """Copy all files of a local folder to a URL, in parallel."""

    def copy(entry: tuple[str, Path]) -> None:
        upload(entry[1], join(url, entry[0]), chunk_bytes=chunk_bytes)

    in_parallel(copy, list_local(folder), at_once)


def settle_file(path: Path, prefix: str | None, *, stays: bool, name: str) -> Settled:
    """Take a local file into a run, or only learn its digest where it stays."""
    signature = signature_of(path)
    if stays or prefix is None:
        url, reference = str(path), Reference(sha256=file_digest(path), stays=stays)
    else:
        kept = keep_file(path, prefix, name=name)
        url, reference = kept.url, Reference(sha256=kept.digest, kept=True)
    return _settled(path, prefix, signature, (url, reference))


def settle_folder(path: Path, prefix: str | None, *, stays: bool) -> Settled:
    """Take a local folder into a run, or only learn its digest where it stays."""
    if stays or prefix is None:
        url, reference = str(path), Reference(sha256=folder_digest(path), stays=stays)
    else:
        kept = keep_folder(path, prefix)
        url, reference = kept.url, Reference(sha256=kept.digest, kept=True)
    # A folder's own time says nothing of its files: it is read again each time.
    return _settled(path, prefix, (-1, -1), (url, reference))


def _settled(
    path: Path, prefix: str | None, signature: tuple[int, int], found: tuple[str, Reference]
) -> Settled:
    # A young file may change again without its time showing it: no signature matches (-1, -1).
    return Settled(
        source=str(path),
        prefix=prefix,
        signature=signature if is_settled(signature) else (-1, -1),
        url=found[0],
        reference=found[1],
    )
