from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flyte_ray.errors import ConfigurationError, StoreError, StoreUnwritableError
from flyte_ray.store import layout
from flyte_ray.store.blobs import check_writable, is_local, open_blobs
from flyte_ray.store.local_blobs import LocalBlobs
from tests.unit.store.stores import DictBlobs


def test_a_path_and_a_file_url_are_the_same_store(tmp_path: Path) -> None:
    open_blobs(str(tmp_path / "a b")).put("k", b"x")
    assert open_blobs((tmp_path / "a b").as_uri()).get("k") == b"x"


def test_the_url_of_a_local_store_is_absolute_whatever_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_blobs("store").url == str(tmp_path / "store")
    assert open_blobs("~/store").url == str(tmp_path / "store")


@pytest.mark.parametrize(
    ("url", "message"),
    [("", "empty"), ("nosuch://x", "no store that can be opened"), ("file://host/x", "'host'")],
)
def test_an_url_that_cannot_be_a_store_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_blobs(url)


def test_a_local_store_needs_no_fsspec() -> None:
    code = (
        "import sys; from flyte_ray.store.blobs import open_blobs; open_blobs('x');"
        "print({'fsspec', 'gcsfs', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_operations_are_cheap_on_paths_and_in_memory_only(tmp_path: Path) -> None:
    assert is_local(LocalBlobs(tmp_path))
    assert is_local(DictBlobs("memory://x"))
    assert not is_local(DictBlobs("gs://bucket"))


def test_a_writable_store_passes_and_states_its_format(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    check_writable(blobs)
    check_writable(blobs)
    assert list(blobs.list("")) == [layout.FORMAT]
    assert json.loads(blobs.get(layout.FORMAT)) == {"format": 1, "min_reader": 1}


def test_an_unwritable_store_is_refused_with_the_reason_and_a_remedy() -> None:
    def fail(operation: str, key: str) -> None:
        if operation == "put_new":
            raise StoreError("no space left on it.")

    blobs = DictBlobs()
    blobs.before = fail
    with pytest.raises(StoreUnwritableError, match=r"no space left.*FLYTE_RAY_STORE"):
        check_writable(blobs)


def test_a_store_that_ignores_conditions_is_refused() -> None:
    class Careless(DictBlobs):
        def put_new(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    with pytest.raises(StoreUnwritableError, match="conditional writes"):
        check_writable(Careless())


def test_a_store_of_a_newer_release_is_refused() -> None:
    blobs = DictBlobs()
    blobs.put(layout.FORMAT, json.dumps({"format": 9, "min_reader": 9}).encode())
    with pytest.raises(ConfigurationError, match="upgrade flyte-ray"):
        check_writable(blobs)


def test_a_store_of_a_newer_release_that_older_ones_can_read_is_used() -> None:
    blobs = DictBlobs()
    blobs.put(layout.FORMAT, json.dumps({"format": 9, "min_reader": 1}).encode())
    check_writable(blobs)
