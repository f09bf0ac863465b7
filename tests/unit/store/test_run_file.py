from __future__ import annotations

import json

import pytest

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.ids import RunName
from flyte_ray.errors import RunExistsError, RunNotFoundError, StoreError, UsageError
from flyte_ray.store import layout
from flyte_ray.store.run_file import (
    read_heartbeat,
    read_run,
    spec_from_json,
    spec_to_json,
    write_heartbeat,
    write_run,
)
from tests.unit.store.books import run_spec
from tests.unit.store.stores import DictBlobs

FULL = run_spec(
    "full",
    address=TaskAddress(name="env.main", module="flow", file="flow.py", blob_key="code/x.pkl"),
    code=CodeSpec(bundle_key="code/x.zip", digest="x", root="/src", sys_path=("/a", "/b")),
    labels={"team": "ships"},
    force_rerun_actions=("a1", "a2"),
    source_run=RunName("earlier"),
    interruptible=False,
    options={"nested": {"list": [1, 2]}},
)


@pytest.mark.parametrize("spec", [run_spec(), FULL], ids=["plain", "full"])
def test_a_run_is_read_as_it_was_written(spec) -> None:
    blobs = DictBlobs()
    write_run(blobs, spec)
    assert read_run(blobs, spec.name) == spec


def test_fields_of_later_releases_are_passed_over_and_missing_ones_have_defaults() -> None:
    data = spec_to_json(FULL)
    data["teleport"] = True
    data["code"]["signature"] = "s"
    del data["labels"], data["max_action_concurrency"]
    spec = spec_from_json(data)
    assert spec.labels == {}
    assert spec.max_action_concurrency == 1000
    assert spec.code == FULL.code


def test_a_taken_name_is_refused() -> None:
    blobs = DictBlobs()
    write_run(blobs, run_spec("r1", user="ada"))
    with pytest.raises(RunExistsError, match="another name") as caught:
        write_run(blobs, run_spec("r1", user="bob"))
    assert caught.value.run_name == "r1"
    assert read_run(blobs, "r1").user == "ada"


def test_a_name_that_cannot_be_a_key_is_refused() -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        write_run(DictBlobs(), run_spec("../other"))


def test_an_unknown_run_names_similar_ones() -> None:
    blobs = DictBlobs()
    write_run(blobs, run_spec("brisk-otter-x7k2"))
    with pytest.raises(RunNotFoundError, match="did you mean 'brisk-otter-x7k2'"):
        read_run(blobs, "brisk-oter-x7k2")
    with pytest.raises(RunNotFoundError, match="get runs"):
        read_run(blobs, "zzz")
    with pytest.raises(RunNotFoundError):
        read_run(blobs, "../../etc/passwd")


def test_an_unknown_run_of_an_empty_store_asks_whether_it_is_the_right_store() -> None:
    with pytest.raises(RunNotFoundError, match="FLYTE_RAY_STORE"):
        read_run(DictBlobs(), "r1")


def test_a_damaged_run_file_is_named() -> None:
    blobs = DictBlobs()
    for content in (b"{", b"[]", json.dumps({"name": "r1"}).encode()):
        blobs.put(layout.run_file(RunName("r1")), content)
        with pytest.raises(StoreError, match=r"runs/r1/run\.json is damaged"):
            read_run(blobs, "r1")


def test_the_last_heartbeat_is_read() -> None:
    blobs, run = DictBlobs(), RunName("r1")
    assert read_heartbeat(blobs, run) is None
    write_heartbeat(blobs, run, 2, 1)
    write_heartbeat(blobs, run, 2, 2)
    beat = read_heartbeat(blobs, run)
    assert beat is not None
    assert (beat.epoch, beat.count) == (2, 2)


def test_a_heartbeat_that_was_cut_off_is_none() -> None:
    blobs = DictBlobs()
    blobs.put(layout.heartbeat(RunName("r1")), b'{"epo')
    assert read_heartbeat(blobs, RunName("r1")) is None
