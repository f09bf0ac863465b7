"""Checkpoints: saved by one attempt, found by the next."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem

import flyte_ray as flyte
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store.blobs import open_blobs
from tests.unit.author.fake_controller import in_action, run_spec

UNREADABLE = Path("/proc/self/mem")


class DictBlobs:
    """The `Blobs` port over a dict."""

    url = "memory://"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads = 0

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        self.objects[key] = b"".join(bytes(part) for part in parts)

    def put_new(self, key: str, data: bytes) -> bool:
        return self.objects.setdefault(key, data) == data

    def get(self, key: str) -> bytes:
        self.reads += 1
        if key not in self.objects:
            raise FileNotFoundError(key)
        return self.objects[key]

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list(self, prefix: str) -> Sequence[str]:
        head = prefix.rstrip("/") + "/"
        return sorted({k[len(head) :].split("/")[0] for k in self.objects if k.startswith(head)})

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)


@pytest.fixture(params=["local", "memory", "behind another"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    if request.param == "behind another":
        yield DictBlobs()
        return
    fsspec.filesystem("memory").store.clear()
    local = request.param == "local"
    yield open_blobs(str(tmp_path / "its-store") if local else "memory://checkpoints")
    fsspec.filesystem("memory").store.clear()


def checkpoint() -> flyte.Checkpoint:
    here = flyte.ctx().checkpoint
    assert here is not None
    return here


def test_the_first_attempt_finds_nothing(blobs: Blobs) -> None:
    with in_action(store=blobs):
        assert checkpoint().load_sync() is None
        assert not checkpoint().prev_exists()
        assert checkpoint().remote_source is None


def test_bytes_come_back_as_a_file_in_the_next_attempt(blobs: Blobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"one")
        checkpoint().save_sync(b"two\nlines")
        assert checkpoint().load_sync() is None, "a checkpoint is for the next attempt"
    with in_action(store=blobs, attempt=2):
        assert checkpoint().prev_exists()
        found = checkpoint().load_sync()
        assert found is not None
        assert found == checkpoint().path / "payload"
        assert found.read_bytes() == b"two\nlines"


def test_files_and_folders_come_back(blobs: Blobs, tmp_path: Path) -> None:
    tmp_path = tmp_path / "mine"
    tmp_path.mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "weights").write_text("w")
    with in_action(store=blobs):
        asyncio.run(checkpoint().save(tmp_path / "deep" / "weights"))
    with in_action(store=blobs, attempt=2):
        found = asyncio.run(checkpoint().load())
        assert found is not None
        assert found.read_text() == "w"
        asyncio.run(checkpoint().save(str(tmp_path)))
    with in_action(store=blobs, attempt=3):
        found = asyncio.run(checkpoint().load())
        assert found == checkpoint().path
        assert (found / "deep" / "weights").read_text() == "w"


def test_an_attempt_that_saved_nothing_is_skipped(blobs: Blobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"one")
    with in_action(store=blobs, attempt=3):
        found = checkpoint().load_sync()
        assert found is not None
        assert found.read_bytes() == b"one"


def test_an_empty_checkpoint_is_none(blobs: Blobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"")
    with in_action(store=blobs, attempt=2):
        assert checkpoint().load_sync() is None


def test_an_empty_file_is_none_and_an_older_one_is_taken(blobs: Blobs, tmp_path: Path) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"older")
    with in_action(store=blobs, attempt=2):
        (tmp_path / "empty").touch()
        checkpoint().save_sync(tmp_path / "empty")
    with in_action(store=blobs, attempt=3):
        found = checkpoint().load_sync()
        assert found is not None
        assert found.read_bytes() == b"older"
    with in_action(store=blobs):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "weights").write_text("w")
        checkpoint().save_sync(tmp_path / "folder")
    with in_action(store=blobs, attempt=3):
        found = checkpoint().load_sync()
        assert found is not None
        assert [each.name for each in found.iterdir()] == ["weights"]


def test_a_folder_that_was_saved_gzipped_is_read(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("w")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "weights", arcname="weights")
    with in_action(store=blobs):
        key = checkpoint().remote_destination.removeprefix(f"{blobs.url.rstrip('/')}/")
    blobs.put(key, b"flyte_ray checkpoint 1 folder\n", packed.getvalue())
    with in_action(store=blobs, attempt=2):
        found = checkpoint().load_sync()
        assert found is not None
        assert (found / "weights").read_text() == "w"
        assert [each.name for each in found.iterdir()] == ["weights"]


@pytest.mark.skipif(not UNREADABLE.exists(), reason="Linux has a file that opens and never reads")
def test_a_save_that_breaks_off_leaves_the_older_one(blobs: Blobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"older")
        with pytest.raises(OSError, match="error"):
            checkpoint().save_sync(UNREADABLE)
    with in_action(store=blobs, attempt=2):
        found = checkpoint().load_sync()
        assert found is not None
        assert found.read_bytes() == b"older"


class AwayFileSystem(AsyncFileSystem):
    """A bucket behind a network that is down."""

    protocol = "away"

    def _open(self, path: str, **_: Any) -> Any:
        raise ConnectionError("no route")

    async def _cat_file(self, path: str, **_: Any) -> bytes:
        raise ConnectionError("no route")


def test_a_store_that_is_away_is_no_failure_of_the_author(tmp_path: Path) -> None:
    fsspec.register_implementation("away", AwayFileSystem, clobber=True)
    store = open_blobs("away://bucket")
    (tmp_path / "weights").write_text("w")
    with pytest.raises(StoreError, match="no route"):
        flyte.Checkpoint("runs/r/2", store=store).save_sync(tmp_path / "weights")
    with pytest.raises(StoreError, match="no route"):
        flyte.Checkpoint("runs/r/2", "runs/r/1", store=store).load_sync()


class Star:
    """A veil over one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.largest = 0

    def masked(self, text: str) -> str:
        return text

    def masked_error(self, error: ErrorInfo | None) -> ErrorInfo | None:
        return error

    def check(self, values: Mapping[str, Any], owner: str) -> None:
        for name, value in values.items():
            self.largest = max(self.largest, len(value))
            if self._secret in value:
                raise ValueError(f"{owner} '{name}'")


MIB = 1024 * 1024


@pytest.mark.parametrize("place", [0, 16 * MIB - 5, 17 * MIB])
@pytest.mark.parametrize("how", ["bytes", "file", "folder"])
def test_a_secret_is_found_wherever_it_lies(tmp_path: Path, place: int, how: str) -> None:
    data = bytes(place) + b"the secret" + bytes(MIB)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "file").write_bytes(data)
    given = {"bytes": data, "file": folder / "file", "folder": folder}[how]
    blobs, veil = DictBlobs(), Star(b"the secret")
    saving = flyte.Checkpoint("runs/r/checkpoints/a/1", store=blobs, veil=veil)
    with pytest.raises(ValueError, match="checkpoint"):
        saving.save_sync(given)
    assert blobs.objects == {}
    assert veil.largest <= 17 * MIB


def test_a_missing_path_is_an_error(blobs: Blobs, tmp_path: Path) -> None:
    with in_action(store=blobs), pytest.raises(FileNotFoundError):
        checkpoint().save_sync(tmp_path / "absent")


def test_loading_fetches_once() -> None:
    blobs = DictBlobs()
    with in_action(store=blobs):
        checkpoint().save_sync(b"one")
    blobs.reads = 0
    with in_action(store=blobs, attempt=2):
        assert checkpoint() is checkpoint()
        assert checkpoint().load_sync() == checkpoint().load_sync()
    assert blobs.reads == 1


def test_each_action_has_its_own() -> None:
    blobs = DictBlobs()
    with in_action(store=blobs):
        checkpoint().save_sync(b"root")
    with in_action(store=blobs, attempt=2, action_id=ActionId("child")):
        assert checkpoint().load_sync() is None
    assert list(blobs.objects) == ["runs/r1/checkpoints/a0/1"]


def test_a_recovering_run_finds_what_the_first_one_saved(blobs: Blobs) -> None:
    for attempt in (1, 2, 10):
        with in_action(store=blobs, attempt=attempt):
            checkpoint().save_sync(str(attempt).encode())
    again = run_spec(name=RunName("r2"), source_run=RunName("r1"), recover=True)
    with in_action(store=blobs, run=again):
        found = checkpoint().load_sync()
        assert found is not None
        assert found.read_text() == "10"
    rerun = run_spec(name=RunName("r3"), source_run=RunName("r1"))
    with in_action(store=blobs, run=rerun):
        assert checkpoint().load_sync() is None


def test_the_workspace_goes_with_the_checkpoint(blobs: Blobs) -> None:
    with in_action(store=blobs):
        path = checkpoint().path
        assert path.is_dir()
    assert not path.exists()


def test_latest_checkpoint_is_the_newest_or_the_greatest(tmp_path: Path) -> None:
    assert flyte.latest_checkpoint(tmp_path) is None
    for number, name in enumerate(["a", "b", "c"]):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "last.ckpt"
        path.touch()
        os.utime(path, (1000 - number, 1000 - number))
    assert flyte.latest_checkpoint(tmp_path) == tmp_path / "a" / "last.ckpt"
    greatest = flyte.latest_checkpoint(str(tmp_path), key=lambda path: path.parent.name)
    assert greatest == tmp_path / "c" / "last.ckpt"
    assert flyte.latest_checkpoint(tmp_path, "*.ckpt") is None


SIZE_MIB = 64
SCRIPT = """
import sys
from pathlib import Path
from flyte_ray import Checkpoint
from flyte_ray.store.blobs import open_blobs

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

folder = Path(sys.argv[1])
blobs = open_blobs(str(folder / "store"))
Checkpoint("runs/r/checkpoints/a/1", store=blobs).save_sync(b"x")
Checkpoint("runs/r/checkpoints/a/2", "runs/r/checkpoints/a/1", store=blobs).load_sync()
before = kib("VmRSS")
for source in (folder / "made" / "large", folder / "made"):
    Checkpoint("runs/r/checkpoints/a/1", store=blobs).save_sync(source)
    loading = Checkpoint("runs/r/checkpoints/a/2", "runs/r/checkpoints/a/1", store=blobs)
    found = loading.load_sync()
    found = found / "large" if found.is_dir() else found
    assert found.stat().st_size == source.stat().st_size if source.is_file() else True
print((kib("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_a_large_checkpoint_passes_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with (tmp_path / "made" / "large").open("wb") as file:
        file.truncate(SIZE_MIB * MIB)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < SIZE_MIB
