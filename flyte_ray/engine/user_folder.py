"""This user's own folder among the temporary files of a machine: closed to all others, or refused.

The temporary folder is everybody's, so somebody else may make ours before us. What lies in it is
loaded as code, or connected to: so each folder on the way must be this user's, no link, and closed,
whatever the umask says.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def user_folder(name: str) -> Path:
    """Where the folder of this name lies; nothing is made."""
    return Path(tempfile.gettempdir()) / f"flyte_ray-{os.getuid()}" / name


def private_folder(name: str) -> Path:
    """`user_folder`, made where it is missing, and nobody else's.

    Raises:
        PermissionError: somebody else made it, or can enter it.
    """
    folder = user_folder(name)
    if _of_this_user(folder.parent) & 0o077:
        folder.parent.chmod(0o700)  # an earlier release made it as its umask had it
    if _of_this_user(folder) & 0o077:
        raise _not_ours(folder, "is open to others")
    return folder


def _of_this_user(folder: Path) -> int:
    """The permissions of the folder, which is made if need be."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise _not_ours(folder, "is no folder") from error
    found = folder.lstat()  # a link leads to where its maker wants
    if not stat.S_ISDIR(found.st_mode):
        raise _not_ours(folder, "is no folder")
    if found.st_uid != os.getuid():
        raise _not_ours(folder, f"belongs to the user {found.st_uid}, not to {os.getuid()}")
    return stat.S_IMODE(found.st_mode)


def _not_ours(folder: Path, why: str) -> PermissionError:
    return PermissionError(
        f"{folder} {why}, so what lies there may be somebody else's. Remove it, or set TMPDIR to a"
        " folder of your own on this machine"
    )
