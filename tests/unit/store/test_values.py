from __future__ import annotations

import pytest

from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.ids import RunName
from flyte_ray.errors import StoreError
from flyte_ray.store.values import RunValues
from tests.unit.store.stores import DictBlobs

DATA = b"large"
DIGEST = digest_bytes(DATA)


def test_a_value_is_found_under_its_key() -> None:
    blobs = DictBlobs()
    key = RunValues(blobs, RunName("r1")).put(DIGEST, "npy", b"lar", memoryview(b"ge"))
    assert key == f"runs/r1/values/{DIGEST}.npy"
    assert RunValues(blobs, RunName("another")).get(key) == DATA


def test_equal_values_are_stored_once() -> None:
    blobs = DictBlobs()
    values = RunValues(blobs, RunName("r1"))
    assert values.put(DIGEST, "npy", DATA) == values.put(DIGEST, "npy", DATA)
    assert blobs.calls["put"] == 1


def test_a_value_that_could_not_be_stored_is_stored_the_next_time() -> None:
    def fail(operation: str, key: str) -> None:
        raise StoreError("away")

    blobs = DictBlobs()
    values = RunValues(blobs, RunName("r1"))
    blobs.before = fail
    with pytest.raises(StoreError):
        values.put(DIGEST, "npy", DATA)
    blobs.before = lambda operation, key: None
    assert values.get(values.put(DIGEST, "npy", DATA)) == DATA


def test_a_value_that_is_gone_is_file_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        RunValues(DictBlobs(), RunName("r1")).get("runs/r0/values/x.npy")
