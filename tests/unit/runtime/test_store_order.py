"""Workers and replicas open the store as the driver was told to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.pools import pool_order
from flyte_ray.runtime.store_order import store_of, write_as_wanted
from flyte_ray.store.local_blobs import LocalBlobs
from tests.unit.engine import scenes

MEANS = Means(execute=None, execute_once=None, replica=None)
RAY_OPTIONS: dict[str, Any] = {"num_cpus": 1, "runtime_env": {}}


def run_of(store: Path, *, fsync: bool) -> RunSpec:
    options = {"host": "ns/host", **({"fsync": True} if fsync else {})}
    return scenes.run_spec(store_url=str(store), options=options)


@pytest.mark.parametrize("fsync", [True, False])
def test_a_worker_opens_the_store_of_its_run_with_the_runs_fsync(
    fsync: bool, tmp_path: Path
) -> None:
    blobs = store_of(run_of(tmp_path, fsync=fsync)).open()
    assert isinstance(blobs, LocalBlobs)
    assert (blobs.url, blobs._fsync) == (str(tmp_path), fsync)


def test_the_order_of_a_replica_carries_the_runs_fsync(tmp_path: Path) -> None:
    options = TaskOptions(reusable=ReusePolicy(replicas=1))
    attempt = scenes.attempt(run=run_of(tmp_path, fsync=True), options=options)
    synced = pool_order(attempt, MEANS, RAY_OPTIONS)
    assert synced.replica.store == store_of(attempt.run)
    assert synced.replica.store.fsync
    plain = pool_order(replace(attempt, run=run_of(tmp_path, fsync=False)), MEANS, RAY_OPTIONS)
    assert plain.name != synced.name, "replicas that do not sync are no use to a run that does"


def test_a_host_that_was_made_without_fsync_writes_as_a_later_run_wants(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    write_as_wanted(blobs, run_of(tmp_path, fsync=False))
    assert not blobs._fsync
    write_as_wanted(blobs, run_of(tmp_path, fsync=True))
    assert blobs._fsync
    write_as_wanted(blobs, run_of(tmp_path, fsync=False))
    assert blobs._fsync, "the run that wants it may go on"
