"""Objects of Ray's store as memory of a value's own: mapped once more, privately.

Ray maps the memory of a node's object store into every worker, shared and writable, and hands out
read-only views of it. The file behind it has no name any more, but the raylet holds it open. What
of it is mapped is pinned by the view, so its content stays as it is.

Where this cannot be done (another user's raylet, a platform without `/proc`), the views stay
read-only, and codecs copy what has to be written to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flyte_ray.codec.own_memory import WORTH_MAPPING_BYTES, OwnMemory, address_of

_SLACK_BYTES = 64 * 1024
"""By so much the parts of an object may lie apart."""
_COMPARED_BYTES = 64

File = tuple[int, int]
"""Device and inode."""

MOST_PATHS = 64
_paths: dict[File, Path] = {}
"""Where files were found. Not kept open: one that Ray is done with would stay on the disk."""


def own_views(parts: Sequence[memoryview], source: object) -> Sequence[memoryview]:
    """The same parts, to be written to by whoever asked; as they were where that cannot be had.

    Args:
        parts: read-only views of one object.
        source: pins the object; kept as long as what is returned.
    """
    total = sum(part.nbytes for part in parts)
    if total < WORTH_MAPPING_BYTES:
        return parts
    full = [part for part in parts if part.nbytes]
    places = [address_of(part) for part in full]
    first = min(places)
    size = max(place + part.nbytes for place, part in zip(places, full, strict=True)) - first
    if size > total + _SLACK_BYTES * len(full):
        return parts
    try:
        found = _found(first, size)
        descriptor = _opened(found.file) if found is not None else None
        if found is None or descriptor is None:
            return parts
        try:
            whole = OwnMemory.of_file(descriptor, found.offset, size, source=source)
        finally:
            os.close(descriptor)
    except OSError:
        return parts
    starts = iter(place - first for place in places)
    own = [
        whole[start : start + part.nbytes] if part.nbytes else part
        for part in parts
        for start in ([next(starts)] if part.nbytes else [0])
    ]
    return own if all(map(_begin_alike, own, parts)) else parts


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a piece of memory lies in its file."""

    file: File
    offset: int


def _found(address: int, size: int) -> _Place | None:
    with Path("/proc/self/maps").open(encoding="utf-8") as lines:
        for line in lines:
            span, _, offset, device, inode, *_ = line.split()
            start, _, end = span.partition("-")
            if int(start, 16) <= address < int(end, 16):
                if address + size > int(end, 16) or inode == "0":
                    return None
                major, _, minor = device.partition(":")
                file = os.makedev(int(major, 16), int(minor, 16)), int(inode)
                return _Place(file, int(offset, 16) + address - int(start, 16))
    return None


def _opened(file: File) -> int | None:
    """Open a file that the raylet, this process's parent, has open."""
    known = _paths.get(file)
    descriptor = _opened_if(known, file) if known is not None else None
    if descriptor is not None:
        return descriptor
    for path in Path(f"/proc/{os.getppid()}/fd").iterdir():
        descriptor = _opened_if(path, file)
        if descriptor is not None:
            if len(_paths) >= MOST_PATHS:
                _paths.clear()
            _paths[file] = path
            return descriptor
    return None


def _opened_if(path: Path, file: File) -> int | None:
    """Open it if it is that file. Looked at first: opening a pipe or a device does something."""
    with contextlib.suppress(OSError):  # closed meanwhile, or not ours to look at
        if _identity(path.stat()) == file:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if _identity(os.fstat(descriptor)) == file:
                return descriptor
            os.close(descriptor)
    return None


def _identity(state: os.stat_result) -> File:
    return state.st_dev, state.st_ino


def _begin_alike(own: memoryview, part: memoryview) -> bool:
    """Whether the right place was mapped, as far as one glance can tell."""
    ends = slice(_COMPARED_BYTES), slice(-_COMPARED_BYTES, None)
    return all(own[end] == part[end] for end in ends)
