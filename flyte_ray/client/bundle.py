"""The code of a run as one content-addressed archive.

"loaded_modules" takes the modules that the author's process has loaded from below the code's root
(not from its virtual environments, and not this package); "all" takes every file there that
`.gitignore` and `.flyteignore` do not leave out; "none" ships nothing. What environments name as
`include` comes on top. The archive is deterministic: the same files give the same digest, so an
unchanged project is uploaded once and workers stay warm.
"""

from __future__ import annotations

import io
import logging
import socket
import sys
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flyte_ray import _alias, errors
from flyte_ray.author import registry
from flyte_ray.client.ignore import Rule, is_left_out, rules_in
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.unused_code import unmark_code

logger = logging.getLogger(__name__)

COPY_STYLES = ("loaded_modules", "all", "none")
LARGEST_FILE_BYTES = 20 * 1024 * 1024
_LEFT_OUT = frozenset({"__pycache__", ".git", ".venv", "venv", "node_modules", "site-packages"})
_EPOCH = (1980, 1, 1, 0, 0, 0)


def ship(
    blobs: Blobs,
    *,
    copy_style: str = "loaded_modules",
    root_dir: str | Path | None = None,
    task: Callee | None = None,
) -> CodeSpec:
    """Store the code that this process has loaded, and say where it is.

    Args:
        blobs: the store.
        copy_style: see above.
        root_dir: the code's root; `code_root` by default.

        task: the run's root; what its environment and their dependencies include must be there.

    Raises:
        CodeBundleError: a file vanished or is too large; `include` names what is not there.
        ValueError: unknown copy style; `include` of an environment that no file made.
    """
    if copy_style not in COPY_STYLES:
        raise ValueError(f"copy_style must be one of {', '.join(COPY_STYLES)}, not {copy_style!r}")
    root = code_root(root_dir)
    main = main_file()
    spec = CodeSpec(
        root=str(root),
        host=socket.gethostname(),
        cwd=str(Path.cwd()),
        sys_path=tuple(dict.fromkeys(str(Path(entry or ".").resolve()) for entry in sys.path)),
        import_roots=tuple(_import_roots(root)),
        main_file=str(main) if main is not None else None,
        flyte_alias=_alias.installed(),
    )
    if copy_style == "none":
        return spec
    files = loaded_files(root) if copy_style == "loaded_modules" else all_files(root)
    if main is not None and main.is_relative_to(root):
        files = {*files, main}
    files = {*files, *included_files(root, _needed_by(task))}
    data = archive(root, files)
    digest = digest_bytes(data)
    key = layout.code_bundle(digest)
    unmark_code(blobs, key)
    if not blobs.exists(key):
        blobs.put(key, data)
    return replace(spec, bundle_key=key, digest=digest)


def main_file() -> Path | None:
    """The script that runs as `__main__`, if it is a file."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def code_root(root_dir: str | Path | None) -> Path:
    """The folder that the archive's paths are relative to.

    What the author named; else the working directory, where the script lies below it; else the
    script's own folder, or that above the package that it is part of: it may import its neighbours
    by the package's name.
    """
    if root_dir is not None:
        return Path(root_dir).resolve()
    main, cwd = main_file(), Path.cwd().resolve()
    if main is None or main.is_relative_to(cwd) or _is_installed(main):
        return cwd
    folder = main.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def loaded_files(root: Path) -> set[Path]:
    """Source files below the root of the modules that are loaded here."""
    found = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name.partition(".")[0] == "flyte_ray" or not str(file).endswith(".py"):
            continue
        path = Path(file).resolve()
        if path.is_relative_to(root) and not _is_installed(path) and path.is_file():
            found.add(path)
    return found


def all_files(root: Path) -> set[Path]:
    """Every file below the root, less caches, environments, and what ignore files name."""
    return {path for path in _walked(root, rules_in(root, root)) if not path.is_symlink()}


def _walked(root: Path, rules: list[Rule], folder: Path | None = None) -> Iterator[Path]:
    """Files below a folder; the rules of each folder on the way down come after those above."""
    for path in sorted((folder or root).iterdir()):
        name = path.relative_to(root).as_posix()
        is_folder = path.is_dir() and not path.is_symlink()
        if is_left_out(rules, name, is_folder=is_folder):
            continue
        if not is_folder:
            yield path
        elif path.name not in _LEFT_OUT and not (path / "pyvenv.cfg").exists():
            yield from _walked(root, [*rules, *rules_in(path, root)], path)


def included_files(root: Path, needed: Collection[Any] = ()) -> set[Path]:
    """Files that environments made below the root name as `include`.

    Args:
        root: the code's root.
        needed: environments whose files must be there; those of others are taken if they are.

    Raises:
        CodeBundleError: a path matches nothing, or lies outside of the root.
        ValueError: the environment was made by typed code, which lies nowhere.
    """
    found: set[Path] = set()
    for environment in (*registry.environments(), *needed):
        for pattern in getattr(environment, "include", ()):
            try:
                folder = _folder_of(environment, pattern)
                if folder is not None and folder.is_relative_to(root):
                    found |= _matching(environment.name, folder, pattern, root)
            except (errors.CodeBundleError, ValueError) as error:
                if environment in needed:
                    raise
                logger.warning("%s (no environment of this run)", error)
    return found


def _needed_by(task: Callee | None) -> list[Any]:
    """The task's environment, and all that it depends on."""
    parent = getattr(task, "parent_env", None)
    found = [each for each in [parent() if parent is not None else None] if each is not None]
    for environment in found:  # grows while it is walked
        found += [each for each in environment.depends_on if each not in found]
    return found


def _folder_of(environment: Any, pattern: str) -> Path | None:
    """The folder of the file that made an environment; None where that is gone by now."""
    file = environment.source_file or ""
    if file.startswith("<") or environment.module is None:
        raise ValueError(
            f"environment {environment.name!r}: include={pattern!r} is relative to the file that "
            "makes the environment, but this one was typed into a notebook or prompt. Pass the "
            "file to the task as io.File, or put the environment into a module."
        )
    path = Path(file).resolve()
    return path.parent if path.is_file() else None


def _matching(name: str, folder: Path, pattern: str, root: Path) -> set[Path]:
    place = folder / pattern
    is_glob = not place.exists() and not Path(pattern).is_absolute()
    matches = [each for each in (folder.glob(pattern) if is_glob else [place]) if each.exists()]
    if not matches:
        raise errors.CodeBundleError(
            f"environment {name!r}: include={pattern!r} matches nothing below {folder}."
        )
    found: set[Path] = set()
    for match in (each.resolve() for each in matches):
        if not match.is_relative_to(root):
            raise errors.CodeBundleError(
                f"environment {name!r}: include={pattern!r} leads to {match}, outside of the "
                f"code's root {root}. Set root_dir=… to a folder that holds both."
            )
        found |= set(_walked(root, [], match)) if match.is_dir() else {match}
    return found


def archive(root: Path, files: Iterable[Path]) -> bytes:
    """A zip of the files that depends on their names and contents only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(files):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise errors.CodeBundleError(
                    f"{path} could not be read while the code was bundled: {error}"
                ) from error
            if len(data) > LARGEST_FILE_BYTES:
                raise errors.CodeBundleError(
                    f"{path} has {len(data) / 2**20:.0f} MiB, too much for a code bundle. Pass "
                    "data as io.File, move it out of the project, or choose "
                    'copy_style="loaded_modules".'
                )
            info = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            out.writestr(info, data)
    return buffer.getvalue()


def _import_roots(root: Path) -> Iterator[str]:
    """Entries of the import path that lie below the root, relative to it, in order."""
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".").resolve()
        if path.is_dir() and path.is_relative_to(root) and not _is_installed(path):
            yield path.relative_to(root).as_posix()


def _is_installed(path: Path) -> bool:
    """True for what an installer put there: no code of the author's."""
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or any(
        path.is_relative_to(prefix) for prefix in {sys.prefix, sys.base_prefix} if prefix != "/usr"
    )
