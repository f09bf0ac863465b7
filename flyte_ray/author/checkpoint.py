"""Checkpoints: what one attempt saves, the next attempt finds.

One object per action and attempt, `runs/<run>/checkpoints/<action>/<attempt>`: a first line that
says what it is, then a file as it is, or a folder as a tar (also a gzipped one is read; weights do
not compress). Replaced whole, so a crash in the middle of saving leaves the older one. `load` takes
the latest attempt before this one that saved anything; a run that recovers another also finds what
that one saved.

Files and folders pass in blocks, both ways: what is saved may be larger than the memory that is
left, and most often is when it matters.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import re
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from flyte_ray.core.context import ActionContext
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs, Veil
from flyte_ray.errors import FlyteRayError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.local_blobs import LocalBlobs

_FILE = b"flyte_ray checkpoint 1 file\n"
_FOLDER = b"flyte_ray checkpoint 1 folder\n"
_PAYLOAD = "payload"
_BLOCK_BYTES = 16 * 1024 * 1024
_TAR_BYTES = 1024 * 1024
_PART_BYTES = 64 * 1024 * 1024
"""Sent at a time; S3 takes 10,000 parts for one object."""
_OVERLAP_BYTES = 1024 * 1024
"""More than any secret has."""


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
            if self._veil is not None:
                self._check(self._veil, "data", io.BytesIO(data))
            self._store.put(self._destination, _FILE, data)
            return
        source = Path(data)
        is_folder = source.is_dir()
        if self._veil is not None:
            for path in source.rglob("*") if is_folder else (source,):
                if path.is_file():
                    with path.open("rb") as file:
                        self._check(self._veil, str(path), file)
        if is_folder:
            with self._sink() as sink:
                sink.write(_FOLDER)
                _pack(source, sink)
            return
        with source.open("rb") as file, self._sink() as sink:
            sink.write(_FILE)
            shutil.copyfileobj(file, sink, _BLOCK_BYTES)

    def _check(self, veil: Veil, name: str, file: BinaryIO) -> None:
        """Refuse a secret of the task, also one that lies across two blocks."""
        before = b""
        while block := file.read(_BLOCK_BYTES):
            veil.check({name: before + block}, "checkpoint")
            before = block[-_OVERLAP_BYTES:]

    @contextmanager
    def _sink(self) -> Iterator[BinaryIO]:
        """What is written here becomes the checkpoint when the block ends well."""
        if isinstance(self._store, LocalBlobs):
            with self._store.writing(self._destination) as file:
                yield file
        elif self._is_at_url:
            url = self.remote_destination
            with _explained(url), _transfer().sending(url, block_size=_PART_BYTES) as file:
                yield file
        else:
            buffer = io.BytesIO()
            yield buffer
            self._store.put(self._destination, buffer.getbuffer())

    @property
    def _is_at_url(self) -> bool:
        """False for a store that stands before another one, as a replay's or a test's."""
        return getattr(self._store, "objects_at_url", False)

    def _fetch(self) -> Path | None:
        for key in self._sources:
            try:
                with self._found(key) as url:
                    arrived = self._arrived(url)
            except FileNotFoundError:
                continue
            if arrived is not None:
                return arrived
        return None

    @contextmanager
    def _found(self, key: str) -> Iterator[str]:
        """A URL from which the object can be read in parts."""
        if self._is_at_url:
            url = f"{self._store.url.rstrip('/')}/{key}"
            with _explained(url):
                yield url
            return
        data = self._store.get(key)
        with tempfile.NamedTemporaryFile(dir=self.path.parent) as file:
            file.write(data)
            file.flush()
            yield file.name

    def _arrived(self, url: str) -> Path | None:
        """The file or folder that an object holds; None for one without content."""
        head = _transfer().front(url, max(len(_FILE), len(_FOLDER)))
        start = head.find(b"\n") + 1
        if head == _FOLDER:
            with tempfile.TemporaryDirectory(dir=self.path.parent) as place:
                packed = Path(place) / _PAYLOAD
                _transfer().download(url, packed, start=start)
                with tarfile.open(packed) as archive:
                    archive.extractall(self.path, filter="data")
            return self.path
        target = self.path / _PAYLOAD
        _transfer().download(url, target, start=start)
        if target.stat().st_size:
            return target
        target.unlink()
        return None


def _pack(folder: Path, sink: BinaryIO) -> None:
    with tarfile.open(fileobj=sink, mode="w|", bufsize=_TAR_BYTES) as archive:
        for child in sorted(folder.iterdir()):
            archive.add(child, arcname=child.name)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Failures of the network in our words; they spend no retry of the author's."""
    try:
        yield
    except FlyteRayError:
        raise
    except Exception as error:
        if not importlib.import_module("flyte_ray.store.remote_blobs").is_transient(error):
            raise
        raise StoreError(
            f"the store does not answer at {url} ({type(error).__name__}: {error}): check the"
            " network and the service, then try again",
            url=url,
        ) from error


def _transfer() -> Any:
    """Loaded here: a task without files need not import fsspec."""
    return importlib.import_module("flyte_ray.io.transfer")


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
