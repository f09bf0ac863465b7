"""Where bundles lie unpacked on this machine, and whether what lies there can be used.

The temporary folder is everybody's (`user_folder`), and it is cleaned: cleaners remove files that
nobody has read for days and leave their folders. So a bundle's folder holds a list of its files and
their sizes. To look costs one `stat` per file. It is no guard against this user, whose own files
they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from flyte_ray import errors
from flyte_ray.engine.user_folder import private_folder, user_folder

LIST = ".flyte_ray-files.json"
"""In each folder: {path of a file: its size in bytes}."""
_CODE = "code"


def cache_folder() -> Path:
    """Where unpacked bundles of this user lie; safe to delete while nothing runs."""
    return user_folder(_CODE)


def safe_cache_folder() -> Path:
    """`cache_folder`, made where it is missing, and nobody else's.

    Raises:
        ModuleLoadError: somebody else made it, or can write there.
    """
    try:
        return private_folder(_CODE)
    except PermissionError as error:
        raise errors.ModuleLoadError(f"no code can be unpacked on this machine: {error}") from error


def write_list(folder: Path, sizes: Mapping[str, int]) -> None:
    """Say which files a bundle's folder has; before it gets its name."""
    (folder / LIST).write_text(json.dumps(sizes), "utf-8")


def is_whole(folder: Path) -> bool:
    """True if the folder has all files of its list, in their sizes."""
    try:
        sizes = json.loads((folder / LIST).read_text("utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def mend(folder: Path, whole: Path) -> None:
    """Put each file of `whole` in its place in `folder`, where processes may be at work.

    File by file, since a folder cannot be replaced in one step. Others may do the same at once, or
    die in the middle: the files are equal, and the list comes last.
    """
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda file: file.name == LIST):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (whole / file).replace(folder / file)
