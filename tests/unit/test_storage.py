"""Files at URLs; memory:// stands for every store that is not local."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flyte_ray import storage
from flyte_ray.errors import ConfigurationError
from flyte_ray.io.credentials import said_in_environment


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test may write."""
    return str(tmp_path / "there") if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_a_file_goes_there_and_back(place: str, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("content")
    url = storage.join(place, "x", "a.txt")

    async def scene() -> str:
        assert not await storage.exists(url)
        assert await storage.put(source, url) == url
        assert await storage.exists(url)
        return await storage.get(url, tmp_path / "back.txt")

    assert Path(asyncio.run(scene())).read_text() == "content"
    assert storage.exists_sync(url)


def test_without_a_target_a_file_comes_to_a_fresh_place_under_its_name(
    place: str, tmp_path: Path
) -> None:
    source = tmp_path / "a.txt"
    source.write_text("content")
    url = asyncio.run(storage.put(source, storage.join(place, "a.txt")))
    first, second = (Path(asyncio.run(storage.get(url))) for _ in range(2))
    assert first.name == second.name == "a.txt"
    assert first != second


def test_a_folder_goes_there_and_back(place: str, tmp_path: Path) -> None:
    source = tmp_path / "folder"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_text("1")
    (source / "deep" / "b").write_text("2")
    url = storage.join(place, "folder")

    async def scene() -> str:
        await storage.put(source, url, recursive=True)
        return await storage.get(url, tmp_path / "back", recursive=True)

    back = Path(asyncio.run(scene()))
    assert (back / "a").read_text() + (back / "deep" / "b").read_text() == "12"


def test_what_is_missing_is_said(place: str, tmp_path: Path) -> None:
    for recursive in (True, False):
        with pytest.raises(FileNotFoundError):
            asyncio.run(storage.get(storage.join(place, "no"), tmp_path / "x", recursive))
        with pytest.raises(FileNotFoundError):
            asyncio.run(storage.put(tmp_path / "no", storage.join(place, "x"), recursive))
    with pytest.raises(ValueError, match="needs a running task"):
        asyncio.run(storage.put(Path(__file__)))


def test_streams_are_written_and_read_in_pieces(place: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one ", b"two ", b"three"):
            yield piece

    async def scene() -> list[bytes]:
        url = await storage.put_stream(pieces(), to_path=storage.join(place, "s"))
        return [piece async for piece in storage.get_stream(url, chunk_size=5)]

    assert asyncio.run(scene()) == [b"one t", b"wo th", b"ree"]


@pytest.mark.parametrize("data", [b"whole", [b"who", b"le"]], ids=["bytes", "list"])
def test_a_stream_may_be_plain(place: str, data: bytes | list[bytes]) -> None:
    async def scene() -> bytes:
        url = await storage.put_stream(data, to_path=storage.join(place, "s"))
        async with storage.open(url) as file:
            return bytes(await file.read())

    assert asyncio.run(scene()) == b"whole"


def test_a_write_that_fails_raises_what_the_body_raised(place: str) -> None:
    async def scene() -> None:
        async with storage.open(storage.join(place, "f"), "wb") as file:
            await file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        asyncio.run(scene())


def test_paths_and_urls() -> None:
    assert storage.is_remote("s3://b/k")
    assert not storage.is_remote("file:///x")
    assert storage.join("/tmp", "a") == "/tmp/a"
    assert storage.join("gs://b") == "gs://b"
    assert storage.get_random_local_path("name.txt").name == "name.txt"
    assert storage.get_random_local_directory().is_dir()


def test_flytes_own_variables_reach_the_client_and_the_others_are_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "with a session token that only botocore reads")
    assert said_in_environment("s3") == {}
    for name, value in {
        "FLYTE_AWS_ENDPOINT": "http://minio:9000",
        "FLYTE_AWS_ACCESS_KEY_ID": "me",
        "FLYTE_AWS_SECRET_ACCESS_KEY": "mine",
        "FLYTE_AWS_S3_ADDRESSING_STYLE": "path",
    }.items():
        monkeypatch.setenv(name, value)
    assert said_in_environment("s3") == {
        "key": "me",
        "secret": "mine",
        "client_kwargs": {"endpoint_url": "http://minio:9000"},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }
    assert said_in_environment("gs") == said_in_environment("memory") == {}


def test_file_systems_by_protocol_and_by_path() -> None:
    memory = storage.get_underlying_filesystem("memory")
    assert memory is storage.get_underlying_filesystem(path="memory://a/b")
    assert "file" in storage.get_underlying_filesystem(path="/tmp").protocol
    with pytest.raises(ConfigurationError, match="no protocol"):
        storage.get_underlying_filesystem("nonsense")


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "mine",
        "AWS_REGION": "eu",
    }.items():
        monkeypatch.setenv(name, value)
    assert storage.get_configured_fsspec_kwargs("s3") == {
        "key": "me",
        "secret": "mine",
        "client_kwargs": {"endpoint_url": "http://minio:9000", "region_name": "eu"},
    }
    assert storage.get_configured_fsspec_kwargs("gs", anonymous=True) == {"token": "anon"}
    assert storage.get_configured_fsspec_kwargs() == {}
    assert storage.S3(addressing_style="path").get_fsspec_kwargs() == {
        "config_kwargs": {"s3": {"addressing_style": "path"}}
    }
    assert storage.ABFS(account_name="a").get_fsspec_kwargs() == {"account_name": "a"}
