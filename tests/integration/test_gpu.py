"""GPUs as tasks meet them: who gets one, who keeps it, and what survives.

On a cluster that only declares a GPU, always; on a real one with `make gpu`. What needs torch is
left out where there is none.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from tests.heads import Head, started_head

SCRIPT = Path(__file__).with_name("gpu_scenes.py")
PATIENCE_S = 240
HAS_TORCH = importlib.util.find_spec("torch") is not None

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * PATIENCE_S)]
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")


class Site:
    """A cluster with one GPU, a store, and drivers that play scenes on it."""

    def __init__(self, head: Head, folder: Path, is_real: bool) -> None:
        self._head = head
        self.folder = folder
        self.store = folder / "store"
        self.is_real = is_real
        self._drivers = 0

    def play(self, *scenes: str) -> dict[str, Any]:
        """Run a driver that plays these scenes; what it found."""
        self._drivers += 1
        answers = self.folder / f"driver{self._drivers}" / "answers.json"
        answers.parent.mkdir()
        self.call(str(SCRIPT), str(answers), *scenes)
        said: dict[str, Any] = json.loads(answers.read_text())
        return said

    def call(self, *line: str) -> None:
        settings = {"FLYTE_RAY_STORE": str(self.store)} | self._head.variables
        ended = subprocess.run(
            [sys.executable, *line],
            cwd=self.folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


KINDS = ["declared", pytest.param("real", marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=KINDS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    is_real = request.param == "real"
    with started_head(4, gpus=None if is_real else 1) as head:
        yield Site(head, tmp_path_factory.mktemp("gpu"), is_real)


@pytest.fixture(scope="module")
def found(site: Site) -> dict[str, Any]:
    """What one driver found in the scenes that need no torch. Those of the pool come last: its
    replica keeps the GPU."""
    return site.play("one_after_the_other", "starving", "shared", "pool", "killed", "memory")


@pytest.fixture(scope="module")
def found_by_torch(site: Site) -> dict[str, Any]:
    site.call("-m", "flyte_ray", "stop", "pool", "gpu_warm")  # else it keeps the GPU while it idles
    return site.play("tensors", "training", "rank", "out_of_memory")


def test_a_task_sees_its_gpu_and_takes_its_memory_along_when_it_ends(
    found: dict[str, Any],
) -> None:
    first, second, after = found["one_after_the_other"]
    assert first["devices"] == second["devices"] == "0"
    assert first["pid"] != second["pid"]
    assert after["first is gone"]


def test_a_task_that_would_wait_for_its_callers_gpu_is_refused(found: dict[str, Any]) -> None:
    (said,) = found["starving"]
    assert "gpu_whole.look" in said
    assert "keeps 1 of the node's 1 while it waits" in said


def test_two_shares_of_a_gpu_are_held_at_once(found: dict[str, Any]) -> None:
    one, other = found["shared"]
    assert one["devices"] == other["devices"] == "0"
    assert one["pid"] != other["pid"]


def test_a_replica_holds_its_gpu_and_computes_with_the_threads_it_asked_for(
    found: dict[str, Any],
) -> None:
    first, second, free = found["pool"]
    assert (first["devices"], first["threads"]) == ("0", "2")
    assert (second["pid"], second["served"]) == (first["pid"], first["served"] + 1)
    assert free["free"] == 0.0


def test_a_killed_replica_loses_nothing_and_the_next_one_gets_its_gpu(
    site: Site, found: dict[str, Any]
) -> None:
    total, replicas = found["killed"]
    assert total == sum(x * x for x in range(2_000))
    assert replicas == 2
    actions = Catalog(open_blobs(str(site.store))).actions("gpu-killed-driver1").values()
    squares = [action for action in actions if action.task == "gpu_warm.square"]
    assert len(squares) == 2_000
    assert {action.phase.value for action in squares} == {"succeeded"}, "though they had no retries"


def test_a_failed_call_leaves_nothing_of_its_memory_in_the_replica(found: dict[str, Any]) -> None:
    assert found["memory"] == [False, False]


def test_a_second_driver_finds_the_model_loaded(site: Site, found: dict[str, Any]) -> None:
    before = site.play("pool")["pool"][1]
    after = site.play("pool")["pool"][0]
    assert (after["pid"], after["served"]) == (before["pid"], before["served"] + 1)


@needs_torch
def test_tensors_and_modules_arrive_where_there_is_no_gpu(
    site: Site, found_by_torch: dict[str, Any]
) -> None:
    made_at, arrived_at, total = found_by_torch["tensors"]
    assert made_at == ("cuda:0" if site.is_real else "cpu")
    assert arrived_at == ["cpu"]
    assert total == pytest.approx(sum(range(100_000)), rel=1e-4)


@needs_torch
def test_out_of_gpu_memory_is_the_callers_error_and_the_replica_lives_on(
    found_by_torch: dict[str, Any],
) -> None:
    before, after, kind, is_user = found_by_torch["out_of_memory"]
    assert (kind, is_user) == ("OutOfMemoryError", True)
    assert before == after, "same process, and nothing left of what did not fit"


@needs_torch
def test_a_killed_training_goes_on_from_its_checkpoint(found_by_torch: dict[str, Any]) -> None:
    (loss, began), (resumed_loss, resumed_at) = found_by_torch["training"]
    assert (began, resumed_at) == (0, 8)
    assert math.isclose(loss, resumed_loss, rel_tol=1e-5)


@needs_torch
def test_a_clustered_task_of_one_rank_finds_its_process_group(
    found_by_torch: dict[str, Any],
) -> None:
    assert found_by_torch["rank"] == [0, 1, 2.0]
