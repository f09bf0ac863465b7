"""Checkpoints: what one attempt saves, the next attempt finds.

One object per action and attempt, `runs/<run>/checkpoints/<action>/<attempt>`: a first line that
says what it is, then a file as it is, or a folder as a gzipped tar. Replaced whole, so a crash in
the middle of saving leaves the older one. `load` takes the latest attempt before this one that
saved anything; a run that recovers another also finds what that one saved.
"""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from flyte_ray.core.context import ActionContext
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs, Veil
from flyte_ray.store import layout

_FILE = b"flyte_ray checkpoint 1 file\n"
_FOLDER = b"flyte_ray checkpoint 1 folder\n"
_PAYLOAD = "payload"


class BaseCheckpoint(Protocol):
    """What code that saves and loads checkpoints may rely on.

    Example:
        >>> def resume(checkpoint: BaseCheckpoint) -> bool:
        ...     return checkpoint.load_sync() is not None
    """

    def prev_exists(self) -> bool: ...
    async def load(self) -> Path | None: ...
    def load_sync(self) -> Path | None: ...
    async def save(self, data: Path | str | bytes) -> None: ...
    def save_sync(self, data: Path | str | bytes) -> None: ...


class Checkpoint:
    """Saves for the next attempt and loads from the last. Get it from `ctx().checkpoint`.

    Example:
        >>> from flyte_ray import ctx
        >>> async def body() -> None:
        ...     checkpoint = ctx().checkpoint
        ...     previous = await checkpoint.load()
        ...     step = int(previous.read_text()) if previous else 0
        ...     await checkpoint.save(str(step + 1).encode())
    """

    def __init__(
        self,
        checkpoint_dest: str,
        checkpoint_src: str | Sequence[str] | None = None,
        *,
        store: Blobs,
        veil: Veil | None = None,
    ) -> None:
        """Make one.

        Args:
            checkpoint_dest: the key this attempt saves under.
            checkpoint_src: the keys of earlier attempts, most wanted first.
            store: where the keys lie.
            veil: of a task with secrets, which are not to be saved.
        """
        self._destination = checkpoint_dest
        sources = [checkpoint_src] if isinstance(checkpoint_src, str) else checkpoint_src or ()
        self._sources = tuple(sources)
        self._store = store
        self._veil = veil
        self._workspace: Path | None = None
        self._loaded: tuple[Path | None] | None = None

    @property
    def path(self) -> Path:
        """A folder of this attempt's own; gone with it."""
        if self._workspace is None:
            self._workspace = Path(tempfile.mkdtemp(prefix="flyte_ray-checkpoint-"))
            weakref.finalize(self, shutil.rmtree, self._workspace, ignore_errors=True)
        return self._workspace

    @property
    def remote_destination(self) -> str:
        """Where this attempt saves."""
        return f"{self._store.url.rstrip('/')}/{self._destination}"

    @property
    def remote_source(self) -> str | None:
        """Where the attempt before this one saved; None in a first attempt."""
        return f"{self._store.url.rstrip('/')}/{self._sources[0]}" if self._sources else None

    def prev_exists(self) -> bool:
        """True when an earlier attempt saved something."""
        return any(self._store.exists(key) for key in self._sources)

    async def load(self) -> Path | None:
        """`load_sync` without blocking the event loop."""
        return await asyncio.to_thread(self.load_sync)

    def load_sync(self) -> Path | None:
        """What an earlier attempt saved: the file `path/"payload"`, or `path` for a folder.

        None when none saved anything. Fetched once.
        """
        if self._loaded is None:
            self._loaded = (self._fetch(),)
        return self._loaded[0]

    async def save(self, data: Path | str | bytes) -> None:
        """`save_sync` without blocking the event loop."""
        await asyncio.to_thread(self.save_sync, data)

    def save_sync(self, data: Path | str | bytes) -> None:
        """Save bytes, a file or a folder; in place of what this attempt saved before.

        Raises:
            FileNotFoundError: there is nothing at that path.
            UnserializableInputError: it holds a secret of the task.
        """
        if isinstance(data, bytes | bytearray | memoryview):
            self._check("data", data)
            self._store.put(self._destination, _FILE, data)
            return
        source = Path(data)
        if source.is_dir():
            if self._veil is not None:
                for path in source.rglob("*"):
                    self._check(str(path), path.read_bytes() if path.is_file() else b"")
            self._store.put(self._destination, _FOLDER, _packed(source))
        else:
            content = source.read_bytes()
            self._check(str(source), content)
            self._store.put(self._destination, _FILE, content)

    def _check(self, name: str, data: bytes | bytearray | memoryview) -> None:
        if self._veil is not None:
            self._veil.check({name: bytes(data)}, "checkpoint")

    def _fetch(self) -> Path | None:
        for key in self._sources:
            try:
                data = self._store.get(key)
            except FileNotFoundError:
                continue
            head, _, body = data.partition(b"\n")
            if head + b"\n" == _FOLDER:
                with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
                    archive.extractall(self.path, filter="data")
                return self.path
            if body:
                target = self.path / _PAYLOAD
                target.write_bytes(body)
                return target
        return None


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for child in sorted(folder.iterdir()):
            archive.add(child, arcname=child.name)
    return buffer.getvalue()


def checkpoint_of(here: ActionContext) -> Checkpoint | None:
    """The running attempt's checkpoint, one object per attempt; None without a store."""
    if here.store is None:
        return None
    made: Checkpoint | None = here.bench.checkpoint
    if made is None:
        run = here.run
        sources = [_key(run.name, here, n) for n in range(here.attempt - 1, 0, -1)]
        if run.recover and run.source_run is not None:
            sources += _saved_by(run.source_run, here)
        destination = _key(run.name, here, here.attempt)
        made = Checkpoint(destination, sources, store=here.store, veil=here.bench.veil)
        here.bench.checkpoint = made
    return made


def _folder(run: RunName, here: ActionContext) -> str:
    return f"{layout.run_folder(run)}/checkpoints/{here.action_id}"


def _key(run: RunName, here: ActionContext, attempt: int) -> str:
    return f"{_folder(run, here)}/{attempt}"


def _saved_by(run: RunName, here: ActionContext) -> list[str]:
    """Keys of what the same action saved in another run, latest attempt first."""
    assert here.store is not None
    folder = _folder(run, here)
    attempts = [int(name) for name in here.store.list(folder) if re.fullmatch(r"\d+", name)]
    return [f"{folder}/{attempt}" for attempt in sorted(attempts, reverse=True)]


def latest_checkpoint(
    root: str | Path,
    glob_pattern: str = "**/last.ckpt",
    *,
    key: Callable[[Path], Any] | None = None,
) -> Path | None:
    """The newest file below `root` that matches, by modification time or by `key`.

    Example:
        >>> latest_checkpoint("/there/is/nothing") is None
        True
    """
    matches = [path for path in Path(root).glob(glob_pattern) if path.is_file()]
    return max(matches, key=key or (lambda path: path.stat().st_mtime_ns), default=None)
