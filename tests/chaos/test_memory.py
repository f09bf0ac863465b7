"""Ray kills a worker because the node runs out of memory: charged to the task, told to the parent.

The node's limit is set a little above what the machine uses now, so nothing is really exhausted;
other programs that grow meanwhile can trip it, so this stands in `make chaos` only.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyte_ray.core.model import ActionPhase
from flyte_ray.runtime.lives import MOST_LIVES
from tests.chaos.evidence import answer, catalog, script
from tests.heads import joined_node, started_head

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.soak]

SHARE = 0.15
"""Of the free memory: what the cluster may take before Ray kills."""
HUNGRY = Path(__file__).with_name("hungry.py")


def memory() -> dict[str, int]:
    """`MemTotal`, `MemAvailable`, …: kB of the machine, as Ray sees them outside a container."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def room_mib() -> int:
    return int(memory()["MemAvailable"] * SHARE) // 1024


def threshold(room_mib: int) -> float:
    """The share of the memory at which Ray kills."""
    seen = memory()
    used = seen["MemTotal"] - seen["MemAvailable"]
    return (used + room_mib * 1024) / seen["MemTotal"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "marks").mkdir()
    return tmp_path / "store"


def test_a_worker_killed_for_memory_is_charged_and_its_parent_goes_on_with_less(
    store: Path,
) -> None:
    too_much, little = 2 * room_mib(), 2 * room_mib() // 16
    watch = {
        "RAY_memory_usage_threshold": str(threshold(too_much // 2)),
        "RAY_memory_monitor_refresh_ms": "100",
    }
    order = ("starved", str(store.with_name("marks")), str(too_much))
    with started_head(0) as head, joined_node(head, 2, **watch):
        ended = script(store, *order, file=HUNGRY, **head.variables)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (answer(store) or 0) >= little
    (root,) = [a for a in catalog(store).actions("starved").values() if a.parent_id is None]
    killed, enough = [a for a in catalog(store).actions("starved").values() if a.parent_id]
    assert root.phase is enough.phase is ActionPhase.SUCCEEDED
    assert killed.phase is ActionPhase.FAILED
    assert [each.will_retry for each in killed.attempts] == [True, False], "one retry was given"
    errors = [json.loads(each.error or "{}") for each in killed.attempts]
    assert [error["code"] for error in errors] == ["OOMError", "OOMError"]
    assert "running low on memory" in errors[0]["message"]


def test_a_run_whose_host_is_killed_with_the_task_that_took_the_memory_ends(store: Path) -> None:
    """On one node Ray kills the host first, for it can be started again: nobody is left to charge
    the task."""
    too_much = 2 * room_mib()
    watch = {
        "memory_usage_threshold": threshold(too_much // 2),
        "memory_monitor_refresh_ms": 100,
    }
    order = ("hopeless", str(store.with_name("marks")), str(too_much))
    with started_head(2, system=watch) as head:
        ended = script(store, *order, file=HUNGRY, **head.variables)

    assert ended.returncode == 1, ended.stdout
    assert f"killed {MOST_LIVES} times in a row" in ended.stderr
    assert "flyte-ray rerun hopeless --recover" in ended.stderr
    assert catalog(store).run("hopeless").phase is ActionPhase.ABORTED
