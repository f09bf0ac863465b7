"""Files by reference: taken in once, known by content, never handed over corrupt."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pydantic import BaseModel

from flyte_ray.errors import (
    DigestMismatchError,
    StoreError,
    UnserializableInputError,
    WrongCallError,
)
from flyte_ray.io import File, HashFunction, HashlibAccumulator, PrecomputedValue, keeping
from tests.unit.io.flaky import PART_BYTES, flaky
from tests.unit.io.places import digest_of, pass_on, running_task

SOME = b"x,y\n1,2\n"


@pytest.fixture
def memory() -> Iterator[str]:
    """A remote store that lives in this process."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    keeping.forget()
    yield "memory://store"
    filesystem.store.clear()
    keeping.forget()


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> str:
    return str(tmp_path / "store") if request.param == "local" else memory


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(SOME)
    return path


def read(file: File[Any]) -> bytes:
    with file.open_sync() as handle:
        return bytes(handle.read())


def stored(url: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(url)
    return [each.rpartition("/")[2] for each in filesystem.find(path)]


def test_the_name_is_the_last_part_of_the_path() -> None:
    assert File(path="gs://bucket/a/b.csv").name == "b.csv"
    assert File(path=Path("/x/y.txt")).path == "/x/y.txt"  # type: ignore[arg-type]


def test_a_local_file_is_a_lazy_reference_outside_of_a_task(table: Path) -> None:
    file = File.from_local_sync(table)
    assert file.path == str(table)
    assert file.download_sync() == str(table)


def test_in_a_task_the_content_is_stored_at_once(table: Path, store: str) -> None:
    with running_task(store):
        file = File.from_local_sync(table)
    table.write_bytes(b"changed")
    assert file.path.startswith(f"{store}/runs/r1/files/")
    assert file.name == "table.csv"
    assert read(file) == SOME


def test_the_same_bytes_are_stored_once_per_run(table: Path, store: str, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(SOME)
    with running_task(store):
        one, two = File.from_local_sync(table), File.from_local_sync(other)
    assert one.path == two.path
    assert len(stored(store)) == 1


def test_a_raw_data_path_takes_the_files(table: Path, memory: str, tmp_path: Path) -> None:
    with running_task(str(tmp_path / "store"), raw_data_path=f"{memory}/raw"):
        assert File.from_local_sync(table).path.startswith(f"{memory}/raw/")


def test_a_destination_is_written_as_told(table: Path, memory: str) -> None:
    file = File.from_local_sync(table, f"{memory}/there/t.csv")
    assert file.path == f"{memory}/there/t.csv"
    assert read(file) == SOME


@pytest.mark.parametrize("use", [File.from_local_sync, lambda p: asyncio.run(File.from_local(p))])
def test_a_missing_file_is_an_error_of_both_kinds(use: Any, tmp_path: Path) -> None:
    for kind in (ValueError, FileNotFoundError):
        with pytest.raises(kind, match="File not found"):
            use(tmp_path / "nothing")


def test_new_remote_is_written_and_read_in_a_task(store: str) -> None:
    with running_task(store):
        file: File[str] = File.new_remote("out.txt")
        with file.open_sync("w") as handle:
            handle.write("grüße\n")
        assert file.path.endswith("/out.txt")
        back = pass_on(file, File)
    with back.open_sync("rt", encoding="utf-8") as handle:
        assert handle.read() == "grüße\n"


def test_new_remote_needs_a_task_and_named_remote_too() -> None:
    with pytest.raises(ValueError, match="running task"):
        File.new_remote()
    with pytest.raises(ValueError, match="running task"):
        File.named_remote("a")


def test_named_remote_is_the_same_place_every_time(store: str) -> None:
    with running_task(store):
        assert File.named_remote("a/b.txt").path == File.named_remote("a/b.txt").path
        with pytest.raises(ValueError, match="no name below"):
            File.named_remote("../b.txt")


def test_what_is_written_is_known_by_its_content(table: Path, store: str) -> None:
    with running_task(store):
        written: File[Any] = File.new_remote()
        with written.open_sync("wb") as handle:
            handle.write(SOME[:3])
            handle.write(SOME[3:])
        assert digest_of(written, File) == digest_of(File.from_local_sync(table), File)


@pytest.mark.parametrize("mode", ["wb", "w"])
@pytest.mark.parametrize(
    "method",
    [HashlibAccumulator.from_hash_name("md5"), HashFunction.from_fn(lambda data: len(data))],
)
def test_new_remote_hashes_what_is_written(store: str, mode: str, method: Any) -> None:
    with running_task(store):
        file: File[Any] = File.new_remote(hash_method=method)
        with file.open_sync(mode) as handle:
            handle.write("ab" if mode == "w" else b"ab")
            handle.write("c" if mode == "w" else b"c")
    expected = "3" if isinstance(method, HashFunction) else "900150983cd24fb0d6963f7d28e17f72"
    assert file.hash == expected


def test_compressed_files_are_complete_when_closed(store: str) -> None:
    with running_task(store):
        file: File[Any] = File.new_remote("a.txt.gz")
        with file.open_sync("wb", compression="gzip") as handle:
            handle.write(b"text" * 1000)
    with file.open_sync("rb", compression="infer") as handle:
        assert handle.read() == b"text" * 1000


@pytest.mark.parametrize("options", [{}, {"mode": "w"}, {"compression": "gzip"}])
@pytest.mark.parametrize("url", ["flaky://b", "memory://store"])
def test_a_file_whose_writing_breaks_off_does_not_appear(url: str, options: Any) -> None:
    flaky()
    with running_task(url):
        file: File[Any] = File.new_remote("out")
        with (
            pytest.raises(ZeroDivisionError),
            file.open_sync(**{"mode": "wb", **options}) as handle,
        ):
            text = "text" * PART_BYTES
            handle.write(text if options.get("mode") == "w" else text.encode())
            raise ZeroDivisionError
        assert not file.exists_sync()
        with file.open_sync("wb") as handle:
            handle.write(b"again")
        assert read(file) == b"again"


def test_a_file_that_its_store_refuses_does_not_appear(table: Path) -> None:
    filesystem = flaky(refuses=1)
    with running_task("flaky://b"):
        file: File[Any] = File.new_remote("out")
        with pytest.raises(OSError, match="503"), file.open_sync("wb") as handle:
            handle.write(b"x")
        filesystem.refuses = 2
        with pytest.raises(OSError, match="503"):
            File.from_local_sync(table)
    assert filesystem.objects == {}


def test_a_file_is_taken_in_by_a_store_that_was_away(table: Path) -> None:
    bucket = flaky(refuses=1, error=ConnectionResetError("hung up"))
    with running_task("flaky://b"):
        file = File.from_local_sync(table)
        assert read(file) == SOME
    bucket.refuses = bucket.sent + 1
    with running_task("flaky://b"):
        File.from_local_sync(table, "flaky://elsewhere/t")
    assert bucket.objects["elsewhere/t"] == SOME


def test_a_store_that_is_away_is_told_as_that(table: Path) -> None:
    flaky(refuses=1, error=ConnectionResetError("hung up"))
    with pytest.raises(StoreError, match="hung up"):
        pass_on(File(path=str(table)), File, "flaky://b")


def test_files_are_awaited(store: str) -> None:
    async def body() -> None:
        file: File[Any] = File.new_remote("lines.txt")
        async with file.open("wb") as handle:
            await handle.write(b"one\ntwo\n")
            await handle.flush()
        async with file.open() as handle:
            assert await handle.readline() == b"one\n"
            assert [line async for line in handle] == [b"two\n"]
        async with file.open("r", encoding="utf-8") as handle:
            assert await handle.read() == "one\ntwo\n"
        assert await file.exists()
        assert Path(await file.download()).read_bytes() == b"one\ntwo\n"

    with running_task(store):
        asyncio.run(body())


def test_an_error_in_an_open_block_comes_out(store: str) -> None:
    async def body() -> None:
        async with File.new_remote().open("wb"):
            raise KeyError("mine")

    with running_task(store), pytest.raises(KeyError, match="mine"):
        asyncio.run(body())


def test_a_download_goes_where_it_is_told(table: Path, memory: str, tmp_path: Path) -> None:
    with running_task(memory):
        file = File.from_local_sync(table)
    assert Path(file.download_sync(tmp_path / "new" / "name.csv")).name == "name.csv"
    assert file.download_sync(tmp_path) == str(tmp_path / "table.csv")
    assert file.download_sync(str(tmp_path / "deep") + "/") == str(tmp_path / "deep" / "table.csv")
    assert Path(file.download_sync()).read_bytes() == SOME
    assert not list(tmp_path.glob(".*.part"))


def test_exists_tells_the_truth(table: Path, memory: str) -> None:
    assert File(path=str(table)).exists_sync()
    assert not File(path=f"{memory}/none").exists_sync()


# ------------------------------------------------------------- passed on


def test_a_file_arrives_in_every_kind_of_container(table: Path, store: str) -> None:
    @dataclass
    class Record:
        file: File[str]

    class Model(BaseModel):
        files: dict[str, File]  # type: ignore[type-arg]

    file = File(path=str(table))
    files = f"{store}/runs/r1/files"
    cases: list[tuple[Any, Any, Any]] = [
        (file, File, lambda got: got),
        (file, File[str], lambda got: got),
        (file, Any, lambda got: got),
        (file, File | None, lambda got: got),
        ([file], list[File[Any]], lambda got: got[0]),
        (Record(file), Record, lambda got: got.file),
        (Model(files={"a": file}), Model, lambda got: got.files["a"]),
    ]
    for value, type_, find in cases:
        assert read(find(pass_on(value, type_, files))) == SOME
    assert len(stored(store)) == 1


def test_a_string_is_no_file() -> None:
    with pytest.raises(WrongCallError, match="expects File, got str"):
        pass_on("a.csv", File)


def test_the_content_decides_the_digest_not_the_path(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.txt"
    other.write_bytes(SOME)
    assert digest_of(File(path=str(table)), File) == digest_of(File(path=str(other)), File)
    other.write_bytes(SOME + b"3")
    assert digest_of(File(path=str(table)), File) != digest_of(File(path=str(other)), File)


def test_the_digest_follows_a_file_that_is_written_again(table: Path) -> None:
    file = File(path=str(table))
    before = digest_of(file, File)
    table.write_bytes(SOME.replace(b"2", b"3"))
    assert digest_of(file, File) != before


def test_an_old_file_is_read_once(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(table, (1, 1))
    file = File(path=str(table))
    before = digest_of(file, File)
    # Same size and time: only reading could tell. (No editor does this; it shows that we trust.)
    table.write_bytes(SOME.replace(b"2", b"3"))
    os.utime(table, (1, 1))
    assert digest_of(file, File) == before


def test_a_reference_that_is_passed_on_keeps_its_digest(table: Path, store: str) -> None:
    files = f"{store}/files"
    first = digest_of(File(path=str(table)), File, files)
    arrived = pass_on(File(path=str(table)), File, files)
    assert digest_of(arrived, File, files) == first
    assert digest_of(pass_on(arrived, File, files), File) == first


def test_an_explicit_key_takes_the_place_of_the_content(table: Path) -> None:
    one = File.from_existing_remote("gs://bucket/a", file_cache_key="k1")
    two = File.from_existing_remote("gs://bucket/b", file_cache_key="k1")
    assert digest_of(one, File) == digest_of(two, File)
    hashed = File.from_local_sync(table, hash_method=PrecomputedValue("k1"))
    assert hashed.hash == "k1"
    assert digest_of(hashed, File) == digest_of(one, File)
    assert pass_on(hashed, File).hash == "k1"


def test_what_stays_is_not_copied(table: Path, store: str) -> None:
    arrived = pass_on(File.from_existing_remote(str(table)), File, f"{store}/files")
    assert arrived.path == str(table)


def test_an_existing_remote_file_is_known_by_what_its_store_says(memory: str) -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/data/a", SOME)
    file = File.from_existing_remote("memory://data/a")
    before = digest_of(file, File)
    assert digest_of(File.from_existing_remote("memory://data/a"), File) == before
    filesystem.pipe_file("/data/a", SOME + SOME)
    assert digest_of(File.from_existing_remote("memory://data/a"), File) != before


@pytest.mark.parametrize("url", ["/nowhere/a.csv", "memory://nowhere/a.csv"])
def test_a_file_that_vanished_is_refused_when_it_is_passed_on(url: str) -> None:
    with pytest.raises(UnserializableInputError, match=r"input 'x'.*nowhere/a.csv"):
        pass_on(File(path=url), File)


def test_a_stored_file_that_vanished_is_a_clear_error(table: Path, store: str) -> None:
    arrived = pass_on(File(path=str(table)), File, f"{store}/files")
    filesystem, path = fsspec.core.url_to_fs(arrived.path)
    filesystem.rm_file(path)
    with pytest.raises(FileNotFoundError):
        arrived.download_sync()
    with pytest.raises(FileNotFoundError), arrived.open_sync():
        pass


def corrupt(file: File[Any], data: bytes) -> None:
    filesystem, path = fsspec.core.url_to_fs(file.path)
    filesystem.rm_file(path)
    filesystem.pipe_file(path, data)


@pytest.mark.parametrize("bad", [SOME[:-1], b"", SOME.replace(b"1", b"9")])
def test_corrupt_or_truncated_content_is_never_handed_over(
    table: Path, store: str, tmp_path: Path, bad: bytes
) -> None:
    arrived = pass_on(File(path=str(table)), File, f"{store}/files")
    corrupt(arrived, bad)
    with pytest.raises(DigestMismatchError):
        arrived.download_sync()
    with pytest.raises(DigestMismatchError):
        arrived.download_sync(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(DigestMismatchError), arrived.open_sync() as handle:
        handle.read()
    with pytest.raises(DigestMismatchError), arrived.open_sync("r") as handle:
        handle.read()


def test_a_recorded_file_cannot_be_overwritten(table: Path, store: str) -> None:
    arrived = pass_on(File(path=str(table)), File, f"{store}/files")
    with pytest.raises(ValueError, match="recorded"), arrived.open_sync("wb"):
        pass


def test_writing_a_download_does_not_change_the_record(table: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    arrived = pass_on(File(path=str(table)), File, store)
    table.write_bytes(b"other")
    assert read(arrived) == SOME
    assert not Path(arrived.path).stat().st_mode & 0o222


def test_files_are_equal_by_their_fields(table: Path) -> None:
    file = File(path=str(table))
    assert pass_on(file, File) == file
    assert file != File(path="/else")
