"""From an address to a live task, in whatever process an attempt runs.

Code lies either where its author has it (same machine, files unchanged on disk) or in the run's
bundle, a content-addressed archive in the store that is unpacked once per machine and digest. Paths
in a `TaskAddress` that crossed a process are relative to the code's root; `portable` makes them so
and `Loader` resolves them.

A process loads one code state. Ray workers are kept apart by the bundle's digest (`runtime/`); in
the author's own process, modules of a stored bundle are imported beside the present ones, which
are put back afterwards.
"""

from __future__ import annotations

import io
import shutil
import socket
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from flyte_ray import _alias, errors
from flyte_ray.author import reference
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, CodeSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.code_folder import is_whole, mend, safe_cache_folder, write_list


@lru_cache(maxsize=1024)
def portable(address: TaskAddress, root: str) -> TaskAddress:
    """The address with its file relative to the code's root, where it lies below it.

    Remembered: every call of a task asks, and paths are slow.
    """
    if address.file is None or not root:
        return address
    file = Path(address.file)
    if not file.is_absolute() or not file.is_relative_to(root):
        return address
    return replace(address, file=file.relative_to(root).as_posix())


class Loader:
    """Loads tasks and remembers them. Thread-safe."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._lock = threading.RLock()
        self._tasks: dict[tuple[TaskAddress, str], Callee] = {}

    def task(self, spec: AttemptSpec) -> Callee:
        """The task of an attempt.

        Raises:
            ModuleLoadError: it cannot be found or imported; the message names the remedy.
            DigestMismatchError: the bundle in the store is damaged.
        """
        return self.load(spec.address, spec.run.code)

    def load(self, address: TaskAddress, code: CodeSpec) -> Callee:
        """The task at an address of that code; loaded once."""
        with self._lock:
            known = self._tasks.get((address, code.digest))
            if known is None:
                known = self._load(address, code)
                self._tasks[address, code.digest] = known
            return known

    def _load(self, address: TaskAddress, code: CodeSpec) -> Callee:
        root = self.root(code)
        if address.blob_key is not None:
            with importable(root, code):
                return reference.load(address, blob=self._blobs.get(address.blob_key))
        if address.file is not None and root is not None:
            address = replace(address, file=str(root / address.file))
        with importable(root, code):
            return reference.load(address)

    def root(self, code: CodeSpec) -> Path | None:
        """The directory of the run's code on this machine, fetched from the store if need be."""
        if is_at_hand(code):
            return Path(code.root)
        if code.bundle_key is None:
            return None
        return unpacked(self._blobs, code)


def is_at_hand(code: CodeSpec) -> bool:
    """True where the author's own files are on this machine."""
    return bool(code.root) and code.host == socket.gethostname() and Path(code.root).is_dir()


@contextmanager
def importable(root: Path | None, code: CodeSpec) -> Iterator[None]:
    """The code can be imported inside the block, and stays importable after it.

    Only where this process already has other modules of the same names (a rerun of stored code in
    the author's own process) are those put back at the end.
    """
    if code.flyte_alias:
        _alias.install()
    if root is None or is_at_hand(code):
        _put_first([*code.sys_path, *([str(root)] if root else [])])
        yield
        return
    entries = [str(root / part) for part in code.import_roots or ("",)]
    mine = _loaded.setdefault(code.digest, {})
    others = {name: sys.modules[name] for name in _modules_below(entries)}
    others = {name: each for name, each in others.items() if not _lies_below(each, root)}
    for name in others:
        del sys.modules[name]
    sys.modules.update(mine)  # tasks of one bundle share its modules, whenever they are loaded
    added = [entry for entry in entries if entry not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for name in _modules_below(entries):
            if _lies_below(sys.modules[name], root):
                mine[name] = sys.modules[name]
        if others:
            for name in mine:
                sys.modules.pop(name, None)
            sys.modules.update(others)
            sys.path[:] = [entry for entry in sys.path if entry not in added]


_loaded: dict[str, dict[str, ModuleType]] = {}
"""Digest of a bundle -> its modules, as far as this process has imported them."""


def _lies_below(module: ModuleType, root: Path) -> bool:
    """True for a module (or namespace package) that was imported from below the root."""
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).is_relative_to(root) for place in places)


def _put_first(paths: list[str]) -> None:
    """The author's import path in the author's order, before whatever else this process has."""
    if sys.path[: len(paths)] == paths:
        return
    wanted = [path for path in dict.fromkeys(paths) if path and Path(path).exists()]
    sys.path[:] = wanted + [path for path in sys.path if path not in wanted]


def _modules_below(entries: list[str]) -> list[str]:
    """Loaded modules whose names a bundle on these entries would bring."""
    tops = {
        child.stem
        for entry in entries
        if Path(entry).is_dir()  # an import root of which nothing was loaded is not in the bundle
        for child in Path(entry).iterdir()
        if child.is_dir() or child.suffix == ".py"
    }
    return [name for name in sys.modules if name.partition(".")[0] in tops - {"flyte_ray"}]


def unpacked(blobs: Blobs, code: CodeSpec) -> Path:
    """The bundle's folder on this machine. Several processes may ask at once: one rename wins.

    A folder that is no longer whole is mended from the archive.

    Raises:
        DigestMismatchError: the archive in the store is not what was stored.
        ModuleLoadError: the archive is gone, or the machine has no safe place for it.
    """
    target = safe_cache_folder() / code.digest
    if is_whole(target):
        return target
    assert code.bundle_key is not None, "a bundle without a key has no archive"
    try:
        data = blobs.get(code.bundle_key)
    except FileNotFoundError as error:
        raise errors.ModuleLoadError(
            f"the code bundle {code.bundle_key!r} is no longer in the store {blobs.url}"
        ) from error
    if digest_bytes(data) != code.digest:
        raise errors.DigestMismatchError(
            f"the code bundle {code.bundle_key!r} in {blobs.url} is damaged: its digest differs"
        )
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpack-"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(fresh)
        write_list(fresh, {file.filename: file.file_size for file in archive.infolist()})
    try:
        fresh.rename(target)
    except OSError:
        if not is_whole(target):
            mend(target, fresh)
        shutil.rmtree(fresh, ignore_errors=True)
    return target
