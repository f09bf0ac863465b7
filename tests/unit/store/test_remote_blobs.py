from __future__ import annotations

import errno
import logging
from uuid import uuid4

import fsspec
import pytest
from botocore.exceptions import NoCredentialsError
from fsspec.implementations.memory import MemoryFileSystem

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError, StoreUnwritableError
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.remote_blobs import FsspecBlobs, creates_atomically, is_transient
from flyte_ray.testing.contracts import BlobsContract
from tests.unit.store.stores import FakeFileSystem, HttpError


@pytest.fixture
def filesystem() -> FakeFileSystem:
    return FakeFileSystem()


@pytest.fixture
def fake(filesystem: FakeFileSystem) -> FsspecBlobs:
    return FsspecBlobs(filesystem, "bucket/root", url="fake://bucket/root", first_pause_s=0)


class TestMemory(BlobsContract):
    @pytest.fixture
    def blobs(self) -> Blobs:
        return open_blobs(f"memory://{uuid4().hex}")


class TestFakeClient(BlobsContract):
    @pytest.fixture
    def blobs(self, fake: FsspecBlobs) -> Blobs:
        return fake


def test_a_create_whose_reply_was_lost_is_a_success(
    fake: FsspecBlobs, filesystem: FakeFileSystem
) -> None:
    filesystem.faults = [("after", ConnectionResetError())]
    assert fake.put_new("k", b"mine")
    assert fake.get("k") == b"mine"


def test_a_lost_reply_does_not_hide_that_another_was_first(
    fake: FsspecBlobs, filesystem: FakeFileSystem
) -> None:
    filesystem.objects["bucket/root/k"] = b"theirs"
    filesystem.faults = [("before", HttpError(503))]
    assert not fake.put_new("k", b"mine")


@pytest.mark.parametrize(
    "error",
    [HttpError(409), HttpError(429), HttpError(500), HttpError(503), TimeoutError(),
     ConnectionError(), OSError(errno.EIO, "conflict")],
    ids=repr,
)  # fmt: skip
def test_passing_failures_are_tried_again(
    fake: FsspecBlobs, filesystem: FakeFileSystem, error: Exception
) -> None:
    filesystem.faults = [("before", error)] * 3
    fake.put("k", b"data")
    assert fake.get("k") == b"data"


def test_a_store_that_stays_away_is_given_up_with_a_remedy(
    fake: FsspecBlobs, filesystem: FakeFileSystem
) -> None:
    filesystem.faults = [("before", HttpError(503))] * 100
    with pytest.raises(StoreError, match=r"fake://bucket/root/k .*HTTP 503.*try again"):
        fake.put_new("k", b"data")
    assert filesystem.requests == 5


def test_a_store_that_is_away_is_not_taken_for_an_empty_one(
    fake: FsspecBlobs, filesystem: FakeFileSystem
) -> None:
    filesystem.faults = [("before", HttpError(503))] * 100
    with pytest.raises(StoreError):
        fake.exists("k")


def test_a_refusal_is_not_repeated(fake: FsspecBlobs, filesystem: FakeFileSystem) -> None:
    filesystem.faults = [("before", HttpError(403))]
    with pytest.raises(StoreUnwritableError, match="credentials"):
        fake.put("k", b"data")
    assert filesystem.requests == 1


def test_missing_credentials_are_told_at_once(
    fake: FsspecBlobs, filesystem: FakeFileSystem
) -> None:
    filesystem.faults = [("before", NoCredentialsError())]
    with pytest.raises(StoreUnwritableError, match="credentials"):
        fake.put("k", b"data")
    assert filesystem.requests == 1


def test_a_missing_bucket_is_named(fake: FsspecBlobs, filesystem: FakeFileSystem) -> None:
    filesystem.faults = [("before", FileNotFoundError("bucket"))]
    with pytest.raises(StoreUnwritableError, match=r"bucket of fake://bucket/root"):
        fake.put_new("k", b"data")


def test_the_status_is_found_where_s3_hides_it() -> None:
    class ClientError(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": 409}}

    error = OSError(errno.EINVAL, "An error occurred")
    error.__cause__ = ClientError()
    assert is_transient(error)


def test_wrong_arguments_are_not_transient() -> None:
    assert not is_transient(TypeError("unexpected keyword"))
    assert not is_transient(HttpError(400))


def test_clients_that_look_first_and_then_write_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Naive(fsspec.AbstractFileSystem):
        protocol = "naive"

    assert not creates_atomically(Naive())
    assert creates_atomically(MemoryFileSystem())
    assert creates_atomically(FakeFileSystem())
    with caplog.at_level(logging.WARNING):
        FsspecBlobs(Naive(), "root", url="naive://root")
    assert "no atomic create" in caplog.text
