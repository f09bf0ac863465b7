"""Reusable environments on a cluster: warm, shared, and hard to hurt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from tests.heads import Head, started_head

SCRIPT = Path(__file__).with_name("pool_scenes.py")
PATIENCE_S = 240

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * PATIENCE_S)]


def eventually(holds: Callable[[], bool], patience_s: float) -> bool:
    """Look until it holds, or the patience is over."""
    give_up_at = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.5)
    return True


class Site:
    """A cluster of two CPUs, a store, and a copy of the script."""

    def __init__(self, head: Head, folder: Path) -> None:
        self._head = head
        self.folder = folder
        self.store = folder / "store"
        self.script = folder / "pool_scenes.py"
        self.script.write_text(SCRIPT.read_text())
        self._answers = 0

    def play(self, *scenes: str, **variables: str) -> dict[str, Any]:
        """Run a driver that plays these scenes; what it found."""
        self._answers += 1
        answers = self.folder / f"driver{self._answers}" / "answers.json"
        answers.parent.mkdir()
        self._call([sys.executable, str(self.script), str(answers), *scenes], **variables)
        said: dict[str, Any] = json.loads(answers.read_text())
        return said

    def pools(self) -> list[dict[str, Any]]:
        """What `flyte-ray get pools` says."""
        told: list[dict[str, Any]] = json.loads(self.command("get", "pools", "-o", "json"))
        return told

    def command(self, *arguments: str) -> str:
        return self._call([sys.executable, "-m", "flyte_ray", *arguments])

    def _call(self, line: list[str], **variables: str) -> str:
        ended = subprocess.run(
            line,
            cwd=self.folder,
            env=os.environ
            | {"FLYTE_RAY_STORE": str(self.store)}
            | self._head.variables
            | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with started_head(2) as head:
        yield Site(head, tmp_path_factory.mktemp("pools"))


@pytest.fixture(scope="module")
def found(site: Site) -> dict[str, Any]:
    """What one driver found in the scenes that need no other."""
    return site.play("recursion", "killed", "crowd", "walled", "stopping", "queued")


def test_one_replica_with_one_slot_calls_itself_to_any_depth(found: dict[str, Any]) -> None:
    assert found["recursion"] == [50, 50, sum(range(20))]


def test_a_killed_replica_loses_nothing_and_doubles_nothing(
    found: dict[str, Any], site: Site
) -> None:
    total, expected, _ = found["killed"]
    assert total == expected
    actions = Catalog(open_blobs(str(site.store))).actions("killed-driver1").values()
    squares = [action for action in actions if action.task == "wide.square"]
    assert len(squares) == 10_000
    assert {action.phase.value for action in squares} == {"succeeded"}, "though they had no retries"
    assert max(action.attempts[-1].attempt for action in squares) > 1, "some were carried out again"


def test_a_flood_of_one_caller_does_not_hold_up_another(found: dict[str, Any]) -> None:
    guest, flood = found["crowd"]
    assert guest < flood


def test_a_caller_that_cannot_be_reached_is_served_by_ray_calls(found: dict[str, Any]) -> None:
    assert found["walled"] == [sum(range(5)), 3]


def test_a_cancelled_coroutine_hears_of_it(found: dict[str, Any]) -> None:
    assert found["stopping"][0] is True


def test_a_sync_call_that_cannot_be_stopped_takes_its_replica_along(found: dict[str, Any]) -> None:
    _, error, before, after = found["stopping"]
    assert error == "MaxRuntimeExceededError"
    assert before != after


def test_what_runs_in_a_pool_waits_in_no_queue_any_more(found: dict[str, Any]) -> None:
    assert found["queued"] == ["to its end"]


def test_what_a_driver_wants_forced_to_the_disk_is_in_workers_and_replicas_too(site: Site) -> None:
    assert site.play("synced", FLYTE_RAY_FSYNC="1")["synced"] == [True, True]


def test_a_second_driver_finds_the_pool_warm_until_the_code_changes(site: Site) -> None:
    (pid, first), (same, second) = (site.play("warm")["warm"] for _ in range(2))
    assert pid == same
    assert second == first + 1
    old = {pool["name"] for pool in site.pools() if pool["environment"] == "wide"}
    site.script.write_text(site.script.read_text().replace("VERSION = 1", "VERSION = 2"))
    other, counted = site.play("warm")["warm"]
    assert (other != pid, counted) == (True, 201)

    def left() -> set[str]:
        return {pool["name"] for pool in site.pools() if pool["environment"] == "wide"}

    assert eventually(lambda: not old & left(), 60), "the old pool goes"
    assert left(), "the new one stays"
    site.command("stop", "pool", "wide")
    assert eventually(lambda: not left(), 60), "a pool can be stopped"
