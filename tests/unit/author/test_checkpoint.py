"""Checkpoints: saved by one attempt, found by the next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray.core.ids import ActionId, RunName
from tests.unit.author.fake_controller import in_action, run_spec


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


@pytest.fixture
def blobs() -> DictBlobs:
    return DictBlobs()


def checkpoint() -> flyte.Checkpoint:
    here = flyte.ctx().checkpoint
    assert here is not None
    return here


def test_the_first_attempt_finds_nothing(blobs: DictBlobs) -> None:
    with in_action(store=blobs):
        assert checkpoint().load_sync() is None
        assert not checkpoint().prev_exists()
        assert checkpoint().remote_source is None


def test_bytes_come_back_as_a_file_in_the_next_attempt(blobs: DictBlobs) -> None:
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


def test_files_and_folders_come_back(blobs: DictBlobs, tmp_path: Path) -> None:
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


def test_an_attempt_that_saved_nothing_is_skipped(blobs: DictBlobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"one")
    with in_action(store=blobs, attempt=3):
        found = checkpoint().load_sync()
        assert found is not None
        assert found.read_bytes() == b"one"


def test_an_empty_checkpoint_is_none(blobs: DictBlobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"")
    with in_action(store=blobs, attempt=2):
        assert checkpoint().load_sync() is None


def test_a_missing_path_is_an_error(blobs: DictBlobs, tmp_path: Path) -> None:
    with in_action(store=blobs), pytest.raises(FileNotFoundError):
        checkpoint().save_sync(tmp_path / "absent")


def test_loading_fetches_once(blobs: DictBlobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"one")
    blobs.reads = 0
    with in_action(store=blobs, attempt=2):
        assert checkpoint() is checkpoint()
        assert checkpoint().load_sync() == checkpoint().load_sync()
    assert blobs.reads == 1


def test_each_action_has_its_own(blobs: DictBlobs) -> None:
    with in_action(store=blobs):
        checkpoint().save_sync(b"root")
    with in_action(store=blobs, attempt=2, action_id=ActionId("child")):
        assert checkpoint().load_sync() is None
    assert list(blobs.objects) == ["runs/r1/checkpoints/a0/1"]


def test_a_recovering_run_finds_what_the_first_one_saved(blobs: DictBlobs) -> None:
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


def test_the_workspace_goes_with_the_checkpoint(blobs: DictBlobs) -> None:
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
