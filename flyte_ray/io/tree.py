"""Lists the files below a URL, with what the store says of each.

One listing call where the store has one (object stores list a whole prefix); names are relative to
the root, sorted, `/`-separated on every system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_ray.core.digest import digest_json
from flyte_ray.io.places import MissingFileError, describe, filesystem_of, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a directory."""

    name: str
    """Path relative to the directory."""
    url: str
    seen_as: str
    """What the store says of its content."""


def list_tree(url: str, max_depth: int | None = None) -> list[Entry]:
    """The files below a URL; none where nothing is.

    Args:
        url: a directory.
        max_depth: levels to descend; 1 is the top level, None means all.
    """
    filesystem, root = filesystem_of(url)
    root = root.rstrip("/")
    try:
        found: dict[str, dict[str, Any]] = filesystem.find(root, maxdepth=max_depth, detail=True)
    except FileNotFoundError:
        return []
    entries = []
    for path, info in found.items():
        name = path[len(root) :].strip("/")
        # An empty name is the prefix itself, which some stores keep as an object of no bytes.
        if name and info.get("type", "file") == "file":
            place = join(url, name)
            entries.append(Entry(name=name, url=place, seen_as=describe(place, info)))
    return sorted(entries, key=lambda entry: entry.name)


def seen_at(url: str) -> str | None:
    """What a store says of a file, or of the files of a directory; None if that is not known.

    Raises:
        MissingFileError: neither is there.
    """
    filesystem, path = filesystem_of(url)
    try:
        info = filesystem.info(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"there is neither a file nor a directory {url}") from error
    except OSError:
        return None
    return listing_digest(url) if info.get("type") == "directory" else describe(url, info)


def listing_digest(url: str) -> str:
    """A name for the content of a directory that was not read: names and what is said of them.

    Raises:
        MissingFileError: there is no such directory, or no file in it.
    """
    entries = list_tree(url)
    if not entries:
        raise MissingFileError(f"there is no directory {url}, or no file in it")
    return digest_json([[entry.name, entry.seen_as] for entry in entries])
