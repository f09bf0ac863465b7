"""Directories by reference: listed as asked, taken in once, complete or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from flyte_ray.errors import DigestMismatchError, UnserializableInputError
from flyte_ray.io import (
    Dir,
    EmptyDir,
    File,
    HashFunction,
    HashlibAccumulator,
    PrecomputedValue,
    keeping,
)
from tests.unit.io.flaky import flaky
from tests.unit.io.places import digest_of, pass_on, running_task

FILES = {"b.txt": "b", "a.csv": "a", "sub/c.txt": "c", "sub/deep/d.txt": "d"}


@pytest.fixture(autouse=True)
def _clean_memory() -> Iterator[None]:
    fsspec.filesystem("memory").store.clear()
    keeping.forget()
    yield
    fsspec.filesystem("memory").store.clear()
    keeping.forget()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else "memory://store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "folder", FILES)


def filled(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def contents(folder: str | Path) -> dict[str, str]:
    root = Path(folder)
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }


def names(files: Any) -> list[str | None]:
    return [file.name for file in files]


@pytest.fixture
def arrived(folder: Path, store: str) -> Dir[Any]:
    return pass_on(Dir(path=str(folder)), Dir, f"{store}/files")  # type: ignore[no-any-return]


def test_listings_follow_their_arguments(arrived: Dir[Any]) -> None:
    assert names(arrived.walk_sync()) == ["a.csv", "b.txt", "c.txt", "d.txt"]
    assert names(arrived.walk_sync(recursive=False)) == ["a.csv", "b.txt"]
    assert names(arrived.walk_sync(file_pattern="*.txt")) == ["b.txt", "c.txt", "d.txt"]
    assert names(arrived.walk_sync(max_depth=2)) == ["a.csv", "b.txt", "c.txt"]
    assert names(arrived.list_files_sync()) == ["a.csv", "b.txt"]
    assert all(isinstance(file, File) for file in arrived.walk_sync())


def test_everything_is_awaited_too(arrived: Dir[Any], tmp_path: Path) -> None:
    async def body() -> None:
        assert names([file async for file in arrived.walk()]) == [
            "a.csv",
            "b.txt",
            "c.txt",
            "d.txt",
        ]
        assert names([file async for file in arrived.walk(recursive=False)]) == ["a.csv", "b.txt"]
        assert names(await arrived.list_files()) == ["a.csv", "b.txt"]
        assert await arrived.exists()
        found = await arrived.get_file("sub/c.txt")
        assert found is not None
        assert Path(await found.download(tmp_path / "c")).read_text() == "c"
        assert await arrived.get_file("none") is None
        assert contents(await arrived.download(tmp_path / "target")) == FILES
        again = await Dir.from_local(tmp_path / "target", "memory://else/d")
        assert names(again.walk_sync()) == ["a.csv", "b.txt", "c.txt", "d.txt"]

    asyncio.run(body())


def test_a_directory_arrives_whole(arrived: Dir[Any], tmp_path: Path) -> None:
    assert arrived.name == "folder"
    assert contents(arrived.download_sync()) == FILES
    assert contents(arrived.download_sync(tmp_path / "target")) == FILES


def test_in_a_task_the_files_are_stored_at_once(folder: Path, store: str) -> None:
    with running_task(store):
        made = Dir.from_local_sync(folder)
        again = Dir.from_local_sync(folder)
    (folder / "a.csv").write_text("changed")
    assert made.path == again.path
    assert contents(made.download_sync()) == FILES


def test_names_and_contents_decide_the_digest_not_the_place(folder: Path, tmp_path: Path) -> None:
    same = filled(tmp_path / "same", dict(reversed(FILES.items())))
    renamed = filled(tmp_path / "renamed", {**FILES, "e.txt": "b"})
    (renamed / "b.txt").unlink()
    digests = [digest_of(Dir(path=str(path)), Dir) for path in (folder, same, renamed)]
    assert digests[0] == digests[1] != digests[2]


def test_a_changed_file_changes_the_digest(folder: Path) -> None:
    directory = Dir(path=str(folder))
    before = digest_of(directory, Dir)
    (folder / "sub" / "c.txt").write_text("x")
    assert digest_of(directory, Dir) != before


def test_a_key_takes_the_place_of_the_content(folder: Path) -> None:
    one = Dir.from_local_sync(folder, dir_cache_key="k")
    assert digest_of(one, Dir) == digest_of(Dir.from_existing_remote("gs://b/d", "k"), Dir)
    assert pass_on(one, Dir).hash == "k"


def test_new_remote_is_filled_in_a_task(store: str) -> None:
    with running_task(store):
        made: Dir[Any] = Dir.new_remote("out")
        for name in ("1.txt", "2.txt"):
            with File(path=f"{made.path}/{name}").open_sync("w") as handle:
                handle.write(name)
        back = pass_on(made, Dir)
    assert names(back.walk_sync()) == ["1.txt", "2.txt"]
    with pytest.raises(ValueError, match="running task"):
        Dir.new_remote()


def test_the_empty_directory_comes_back_as_a_plain_one(tmp_path: Path) -> None:
    back = pass_on(EmptyDir(), Dir)
    assert type(back) is Dir
    assert back.is_empty
    assert back.exists_sync()
    assert back.list_files_sync() == []
    assert back.get_file_sync("a") is None
    assert contents(back.download_sync(tmp_path / "target")) == {}
    assert (tmp_path / "target").is_dir()
    assert digest_of(Dir.empty(), Dir) == digest_of(EmptyDir(), Dir)


def test_a_directory_without_files_is_a_clear_error(tmp_path: Path, store: str) -> None:
    (tmp_path / "none" / "sub").mkdir(parents=True)
    with running_task(store), pytest.raises(ValueError, match=r"hand on Dir.empty\(\)"):
        Dir.from_local_sync(tmp_path / "none")
    with pytest.raises(UnserializableInputError, match=r"Dir.empty\(\)"):
        pass_on(Dir(path=str(tmp_path / "none")), Dir, f"{store}/files")


@pytest.mark.parametrize("path", ["/nowhere/d", "memory://nowhere/d"])
def test_a_directory_that_vanished_is_a_clear_error(path: str) -> None:
    with pytest.raises(UnserializableInputError, match="nowhere/d"):
        pass_on(Dir(path=path), Dir)
    with pytest.raises(FileNotFoundError):
        Dir(path=path).download_sync()
    assert not Dir(path=path).exists_sync()
    with pytest.raises(FileNotFoundError, match="Directory not found"):
        Dir.from_local_sync("/nowhere/d")


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_directory_that_is_not_what_was_stored_is_not_handed_over(
    arrived: Dir[Any], tmp_path: Path, harm: str
) -> None:
    filesystem, path = fsspec.core.url_to_fs(arrived.path)
    if harm != "add":
        filesystem.rm_file(f"{path}/sub/c.txt")
    if harm != "remove":
        filesystem.pipe_file(f"{path}/sub/{'new' if harm == 'add' else 'c.txt'}", b"?")
    with pytest.raises(DigestMismatchError):
        arrived.download_sync(tmp_path / "target")
    with pytest.raises(DigestMismatchError):
        arrived.download_sync()


def test_each_file_of_a_directory_is_checked_when_it_is_read(
    arrived: Dir[Any], tmp_path: Path
) -> None:
    filesystem, path = fsspec.core.url_to_fs(arrived.path)
    filesystem.rm_file(f"{path}/sub/c.txt")
    filesystem.pipe_file(f"{path}/sub/c.txt", b"?")
    files = {file.name: file for file in arrived.walk_sync()}
    with files["b.txt"].open_sync() as handle:
        assert handle.read() == b"b"
    with pytest.raises(DigestMismatchError), files["c.txt"].open_sync() as handle:
        handle.read()
    found = arrived.get_file_sync("sub/c.txt")
    assert found is not None
    with pytest.raises(DigestMismatchError):
        found.download_sync(tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("listing", [b"", b"[]", b'[["a.csv", "0"]]', b'{"a": 1}'])
def test_a_list_of_files_that_is_not_what_was_stored_is_an_error(
    arrived: Dir[Any], listing: bytes
) -> None:
    filesystem, path = fsspec.core.url_to_fs(f"{arrived.path}.json")
    filesystem.pipe_file(path, listing)
    with pytest.raises(DigestMismatchError):
        arrived.list_files_sync()


def test_a_file_of_a_directory_is_passed_on_without_a_copy(arrived: Dir[Any]) -> None:
    file = next(arrived.walk_sync())
    assert pass_on(file, File, "memory://other/files").path == file.path


def test_a_name_that_leads_out_of_the_directory_is_none_of_its_files(arrived: Dir[Any]) -> None:
    assert arrived.get_file_sync("../folders") is None


def test_a_directory_that_changes_while_it_is_copied_is_not_recorded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    copy = keeping.copy_folder

    def slow_copy(source: Path, url: str, **options: Any) -> None:
        copy(source, url, **options)
        (source / "late.txt").write_text("late")

    monkeypatch.setattr(keeping, "copy_folder", slow_copy)
    with pytest.raises(OSError, match="was changed while it was copied"):
        keeping.keep_folder(folder, str(store))
    assert contents(store) == {}


def test_a_hash_method_is_given_the_files(tmp_path: Path) -> None:
    sha = HashlibAccumulator.from_hash_name("sha256")

    def known_by(files: dict[str, str]) -> str | None:
        folder = filled(tmp_path / str(len(list(tmp_path.iterdir()))), files)
        return Dir.from_local_sync(folder, dir_cache_key=sha).hash

    one = known_by({"a": "1", "b": "2"})
    assert one == known_by({"b": "2", "a": "1"})
    others = [{"a": "2", "b": "2"}, {"a": "1", "c": "2"}, {"a": "1", "b2": ""}, {"a": "1b2"}]
    assert len({one, *map(known_by, others)}) == len(others) + 1


def test_the_hash_of_a_directory_may_be_known(folder: Path) -> None:
    for key in ("v7", PrecomputedValue("v7")):
        assert Dir.from_local_sync(folder, dir_cache_key=key).hash == "v7"
    with pytest.raises(TypeError, match="a directory is many files"):
        Dir.from_local_sync(folder, dir_cache_key=HashFunction.from_fn(len))


def test_an_upload_that_was_cut_off_is_done_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    kept = keeping.keep_folder(folder, store)
    # As if the process had died before the list of files was written.
    Path(f"{kept.url}.json").unlink()
    (Path(kept.url) / "a.csv").unlink()
    keeping.forget()
    assert keeping.keep_folder(folder, store) == kept
    assert contents(kept.url) == FILES


def test_many_files_travel(tmp_path: Path) -> None:
    many = filled(tmp_path / "many", {f"{n % 7}/{n}.txt": str(n) for n in range(300)})
    back = pass_on(Dir(path=str(many)), Dir, "memory://store/files")
    assert len(contents(back.download_sync())) == 300


@pytest.mark.parametrize("refused", [1, 2, 5])
def test_a_folder_is_taken_in_by_a_store_that_was_away(folder: Path, refused: int) -> None:
    bucket = flaky(refuses=refused, error=ConnectionResetError("hung up"))
    with running_task("flaky://b"):
        taken: Dir[Any] = Dir.from_local_sync(folder)
        assert contents(taken.download_sync()) == FILES
    bucket.refuses = bucket.sent + 1
    with running_task("flaky://b"):
        Dir.from_local_sync(folder, "flaky://elsewhere/d")
    assert bucket.objects["elsewhere/d/b.txt"] == b"b"
