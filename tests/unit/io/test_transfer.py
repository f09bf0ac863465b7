"""Bytes arrive whole or not at all, in ranges and in bounded memory."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from flyte_ray.errors import ConfigurationError, DigestMismatchError, StoreError
from flyte_ray.io import File, transfer
from flyte_ray.io.places import MissingFileError, filesystem_of, is_remote, join

SOME = bytes(range(256)) * 40


class RangeFileSystem(AsyncFileSystem):
    """A store with ranges, such as a bucket; keeps what it was asked for."""

    protocol = "ranged"
    cachable = True
    objects: dict[str, bytes] = {}
    asked: list[tuple[int, int]] = []
    short = 0

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.objects[path]), "type": "file"}

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        assert start is not None
        assert end is not None
        self.asked.append((start, end))
        return self.objects[path][start : end - self.short]

    async def _put_file(self, lpath: str, rpath: str, chunksize: int = 50, **_: Any) -> None:
        self.asked.append((0, chunksize))
        self.objects[rpath] = Path(lpath).read_bytes()


@pytest.fixture
def ranged() -> Iterator[type[RangeFileSystem]]:
    fsspec.register_implementation("ranged", RangeFileSystem, clobber=True)
    RangeFileSystem.objects, RangeFileSystem.asked, RangeFileSystem.short = {}, [], 0
    yield RangeFileSystem
    RangeFileSystem.short = 0


def test_a_large_file_is_fetched_in_ranges(ranged: type[RangeFileSystem], tmp_path: Path) -> None:
    ranged.objects["big"] = SOME
    transfer.download("ranged://big", tmp_path / "big", chunk_bytes=1000, at_once=3)
    assert (tmp_path / "big").read_bytes() == SOME
    assert sorted(ranged.asked)[:2] == [(0, 1000), (1000, 2000)]
    assert len(ranged.asked) == 11


def test_a_truncated_download_is_an_error_and_leaves_nothing(
    ranged: type[RangeFileSystem], tmp_path: Path
) -> None:
    ranged.objects["big"] = SOME
    ranged.short = 1
    with pytest.raises(StoreError, match=f"ended after {len(SOME) - 11} of {len(SOME)} bytes"):
        transfer.download("ranged://big", tmp_path / "big", chunk_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_stays_when_the_download_fails(
    ranged: type[RangeFileSystem], tmp_path: Path
) -> None:
    target = tmp_path / "file"
    target.write_text("before")
    ranged.objects["f"] = SOME
    with pytest.raises(DigestMismatchError):
        transfer.download("ranged://f", target, digest="0" * 64, chunk_bytes=1000)
    with pytest.raises(MissingFileError):
        transfer.download("ranged://none", target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_an_upload_goes_in_parts_that_stores_accept(
    ranged: type[RangeFileSystem], tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(SOME)
    transfer.upload(tmp_path / "f", "ranged://f", chunk_bytes=6_000_000)
    assert ranged.objects["f"] == SOME
    ((_, chunk),) = ranged.asked
    assert chunk % (256 * 1024) == 0
    assert chunk >= 6_000_000


def test_local_copies_are_made_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(SOME)
    transfer.upload(tmp_path / "a", f"file://{tmp_path}/deep/b")
    transfer.download(str(tmp_path / "deep" / "b"), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == SOME
    with pytest.raises(MissingFileError):
        transfer.download(str(tmp_path / "none"), tmp_path / "d")


def test_a_file_may_be_copied_onto_itself(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(SOME)
    transfer.upload(tmp_path / "a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == SOME


def test_the_first_error_of_many_comes_out() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    assert transfer.in_parallel(work, range(3)) == [0, 1, 2]
    with pytest.raises(KeyError):
        transfer.in_parallel(work, range(100), at_once=2)


class Pages(http.server.BaseHTTPRequestHandler):
    """A page of bytes; knows ranges, or not, and may hang up early."""

    ranges = False
    short = 0
    asked: list[str]

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._head(200, SOME)

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        if self.path != "/page.bin":
            self.send_error(404)
        elif asked and self.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            type(self).asked.append(asked)
            part = SOME[int(first) : int(last) + 1 if last else None]
            self._head(206, part, f"bytes {first}-{int(first) + len(part) - 1}/{len(SOME)}")
            self.wfile.write(part)
        else:
            self._head(200, SOME)
            self.wfile.write(SOME[: len(SOME) - self.short])

    def _head(self, status: int, body: bytes, place: str = "") -> None:
        if self.path != "/page.bin":
            self.send_error(404)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if place:
            self.send_header("Content-Range", place)
        self.end_headers()


@contextmanager
def served(**changes: Any) -> Iterator[tuple[str, type[Pages]]]:
    pages = type("Some", (Pages,), {"asked": [], **changes})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", pages
        server.shutdown()
        thread.join()


@pytest.fixture
def web() -> Iterator[str]:
    """A web server that knows no ranges."""
    with served() as (url, _):
        yield url


def test_web_pages_are_downloaded_in_ranges_where_their_server_has_them(tmp_path: Path) -> None:
    with served(ranges=True) as (url, pages):
        transfer.download(f"{url}/page.bin", tmp_path / "got", chunk_bytes=3000, at_once=2)
        assert (tmp_path / "got").read_bytes() == SOME
        assert len(pages.asked) >= 4
        with File(path=f"{url}/page.bin").open_sync(block_size=1000) as page:
            page.seek(5000)
            assert page.read(3) == SOME[5000:5003]


def test_a_web_page_that_ends_early_is_an_error(tmp_path: Path) -> None:
    with served(short=100) as (url, _), pytest.raises(StoreError, match="again"):
        transfer.download(f"{url}/page.bin", tmp_path / "got")
    assert list(tmp_path.iterdir()) == []


def test_web_pages_are_downloaded_without_ranges(web: str, tmp_path: Path) -> None:
    transfer.download(f"{web}/page.bin", tmp_path / "got", chunk_bytes=1000)
    assert (tmp_path / "got").read_bytes() == SOME
    with pytest.raises(MissingFileError):
        transfer.download(f"{web}/none", tmp_path / "other")


def test_urls_are_told_apart() -> None:
    assert is_remote("gs://b/k")
    assert not is_remote("file:///a")
    assert not is_remote("a/b")
    assert join("gs://b/", "/a/", "b") == "gs://b/a/b"
    assert isinstance(filesystem_of("memory://a")[0], MemoryFileSystem)
    with pytest.raises(ConfigurationError, match="no protocol"):
        filesystem_of("martian://a")
