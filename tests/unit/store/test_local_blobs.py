from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flyte_ray.errors import StoreError, StoreUnwritableError
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.testing.contracts import BlobsContract

RACER = """
import sys
import time
from pathlib import Path
from flyte_ray.store.local_blobs import LocalBlobs
blobs, me = LocalBlobs(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for key in range(300):
    if blobs.put_new(f"race/{key}", f"{me} {key}".encode() * 500):
        print(key)
"""


class TestLocalBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "not yet" / "there")


class TestLocalBlobsWithFsync(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> LocalBlobs:
        return LocalBlobs(tmp_path / "store", fsync=True)


class RestlessPath(type(Path())):  # type: ignore[misc]  # the concrete class, also before 3.12
    """A path in a folder where other processes make and remove the same folders."""

    hooks: ClassVar[list[Callable[[Path], None]]] = []

    def mkdir(self, *args: Any, **kwargs: Any) -> None:
        if self.hooks:
            self.hooks.pop(0)(Path(self))
        super().mkdir(*args, **kwargs)


def made_and_removed_by_another(path: Path) -> None:
    raise FileExistsError(errno.EEXIST, "File exists", str(path))


def parent_removed_by_another(path: Path) -> None:
    path.parent.rmdir()


class FailingDisk(LocalBlobs):
    """A disk that takes the first bytes of a file and then fails."""

    def __init__(self, root: Path, failure: OSError) -> None:
        super().__init__(root)
        self.failure: OSError | None = failure

    def _write_all(self, descriptor: int, part: bytes | bytearray | memoryview) -> None:
        if self.failure is not None:
            os.write(descriptor, bytes(part)[:3])
            raise self.failure
        super()._write_all(descriptor, part)


def everything_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_two_processes_never_both_create(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]
    wins = [racer.communicate("go\n", timeout=60)[0].split() for racer in racers]
    assert sorted(wins[0] + wins[1], key=int) == [str(key) for key in range(300)]
    for name, keys in zip(("left", "right"), wins, strict=True):
        for key in keys:
            assert (tmp_path / "race" / key).read_bytes() == f"{name} {key}".encode() * 500


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("race", [made_and_removed_by_another, parent_removed_by_another])
def test_folders_that_another_process_removes_meanwhile_are_made_again(
    race: Callable[[Path], None], fsync: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = LocalBlobs(RestlessPath(tmp_path), fsync=fsync)
    blobs.put("other", b"x")
    monkeypatch.setattr(RestlessPath, "hooks", [lambda path: None, race])
    assert blobs.put_new("cache/flight/k1", b"x")
    assert blobs.get("cache/flight/k1") == b"x"
    assert not RestlessPath.hooks


def test_a_link_to_nowhere_in_the_place_of_the_root_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.symlink_to(tmp_path / "not mounted")
    with pytest.raises(StoreUnwritableError, match="choose another store"):
        LocalBlobs(root).put_new("k", b"x")


def test_a_full_disk_says_what_to_do_and_leaves_nothing_visible(tmp_path: Path) -> None:
    disk = FailingDisk(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(StoreError, match="free some space") as caught:
        disk.put_new("runs/r/log/1", b"half of this")
    assert not isinstance(caught.value, StoreUnwritableError)  # may pass: worth waiting for
    with pytest.raises(StoreError, match="no space left"):
        disk.put("values/v", b"half of this")
    assert everything_below(tmp_path) == []


def test_a_disk_that_has_space_again_is_used_again(tmp_path: Path) -> None:
    disk = FailingDisk(tmp_path, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(StoreError):
        disk.put_new("k", b"data")
    disk.failure = None
    assert disk.put_new("k", b"data")


def test_a_failed_replacement_leaves_the_old_object(tmp_path: Path) -> None:
    LocalBlobs(tmp_path).put("k", b"old")
    disk = FailingDisk(tmp_path, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(StoreError, match="check the disk"):
        disk.put("k", b"new")
    assert disk.get("k") == b"old"
    assert everything_below(tmp_path) == ["k"]


def test_a_root_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("I am no folder")
    with pytest.raises(StoreUnwritableError, match="choose another store"):
        LocalBlobs(root).put_new("k", b"x")
    assert list(LocalBlobs(root).list("runs")) == []


def test_a_folder_without_permission_names_the_path_and_the_remedy(tmp_path: Path) -> None:
    disk = FailingDisk(tmp_path, OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(StoreUnwritableError, match="FLYTE_RAY_STORE") as caught:
        disk.put_new("runs/r/run.json", b"x")
    assert f"{tmp_path}/runs/r/run.json" in str(caught.value)


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path) -> None:
    error = OSError(errno.EPERM, "Operation not permitted", "tmp", None, "target")
    explained = LocalBlobs(tmp_path)._explain("k", error)
    assert isinstance(explained, StoreUnwritableError)
    assert "hard links" in str(explained)


def test_temporary_files_stay_out_of_every_listing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    blobs.put("runs/r/log/0/1.parquet", b"x")
    (tmp_path / "_tmp" / "left-behind").write_bytes(b"half")
    assert list(blobs.list("")) == ["runs"]
    assert [p.name for p in tmp_path.rglob("*.parquet")] == ["1.parquet"]


def test_what_crashed_writers_left_is_swept_a_day_later(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    assert blobs.sweep_scratch() == 0
    blobs.put("a", b"1")
    for name, age_s in (("old", 25 * 3600), ("young", 3600)):
        left = tmp_path / "_tmp" / name
        left.write_bytes(b"half")
        os.utime(left, (time.time() - age_s,) * 2)
    assert blobs.sweep_scratch() == 1
    assert [path.name for path in (tmp_path / "_tmp").iterdir()] == ["young"]


def test_reading_a_store_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "store")
    assert list(blobs.list("runs")) == []
    assert not blobs.exists("k")
    assert not (tmp_path / "store").exists()
