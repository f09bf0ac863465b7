"""Recursion with one CPU per task ends on clusters with fewer CPUs than waiting parents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.heads import Head, started_head
from tests.integration.tree import ROOTS, size

pytestmark = pytest.mark.integration

TREE = Path(__file__).with_name("tree.py")


@pytest.fixture(scope="module", params=[1, 2], ids=["1-cpu", "2-cpus"])
def head(request: pytest.FixtureRequest) -> Iterator[Head]:
    with started_head(request.param) as head:
        yield head


def counted(
    head: Head, store: Path, kinds: Iterable[str], depth: int, width: int, patience_s: int
) -> dict[str, int]:
    """The number of tasks that ran, by the trees' own account."""
    answer = store / "answer"
    ended = subprocess.run(
        [sys.executable, str(TREE), ",".join(kinds), str(depth), str(width), str(answer)],
        env=os.environ | {"FLYTE_RAY_STORE": str(store)} | head.variables,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts: dict[str, int] = json.loads(answer.read_text())
    return counts


def test_parents_lend_their_cpu_to_their_children(head: Head, tmp_path: Path) -> None:
    """Trees of all kinds at once: parents of each wait for a CPU that parents of others hold."""
    expected = dict.fromkeys(ROOTS, size(3, 3))
    assert counted(head, tmp_path, ROOTS, 3, 3, patience_s=110) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("head", [1], ids=["1-cpu"], indirect=True)
def test_depth_five_times_four_ends_on_one_cpu(head: Head, tmp_path: Path) -> None:
    assert counted(head, tmp_path, ["mixed"], 5, 4, patience_s=280) == {"mixed": size(5, 4)}


@pytest.mark.scale
@pytest.mark.parametrize("kind", ROOTS)
def test_depth_five_times_four_ends_for_every_kind(kind: str, head: Head, tmp_path: Path) -> None:
    assert counted(head, tmp_path, [kind], 5, 4, patience_s=600) == {kind: size(5, 4)}
