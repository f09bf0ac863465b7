"""Where bundles lie unpacked on this machine, and whether what lies there can be used.

The temporary folder is everybody's, and it is cleaned: somebody else may make ours before us, and
cleaners remove files that nobody has read for days and leave their folders. So ours must be this
user's and closed to all others, and a bundle's folder holds a list of its files and their sizes.
To look costs one `stat` per file. It is no guard against this user, whose own files they are.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from flyte_ray import errors

LIST = ".flyte_ray-files.json"
"""In each folder: {path of a file: its size in bytes}."""


def cache_folder() -> Path:
    """Where unpacked bundles of this user lie; safe to delete while nothing runs."""
    return Path(tempfile.gettempdir()) / f"flyte_ray-{os.getuid()}" / "code"


def private_folder() -> Path:
    """`cache_folder`, made where it is missing, and nobody else's.

    Raises:
        ModuleLoadError: somebody else made it, or can write there.
    """
    folder = cache_folder()
    if _of_this_user(folder.parent) & 0o077:
        folder.parent.chmod(0o700)  # others of our rooms make it too, as the umask has it
    if _of_this_user(folder) & 0o077:
        raise _not_ours(folder, "is open to others")
    return folder


def _of_this_user(folder: Path) -> int:
    """The permissions of the folder, which is made if need be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise _not_ours(folder, "is no folder") from error
    found = folder.lstat()  # a link leads to where its maker wants
    if not stat.S_ISDIR(found.st_mode):
        raise _not_ours(folder, "is no folder")
    if found.st_uid != os.getuid():
        raise _not_ours(folder, f"belongs to the user {found.st_uid}, not to {os.getuid()}")
    return stat.S_IMODE(found.st_mode)


def _not_ours(folder: Path, why: str) -> errors.ModuleLoadError:
    return errors.ModuleLoadError(
        f"no code is unpacked below {folder}: it {why}, so what lies there may be somebody else's. "
        "Remove it, or set TMPDIR to a folder of your own on this machine"
    )


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
