"""What a run left behind: the record in its store, and the marks that its bodies made on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from flyte_ray.core.model import ActionPhase
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord

ROOT = Path(__file__).resolve().parents[2]
SQUARES = Path(__file__).with_name("squares.py")
PATIENCE_S = 600 if os.environ.get("FLYTE_RAY_SOAK_S") else 110
"""A soak may share its machine with others; the suite has a limit per test."""


def script(
    store: Path, *arguments: str, file: Path = SQUARES, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, whatever that is."""
    return subprocess.run(
        [sys.executable, str(file), *arguments],
        env=surroundings(store, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def surroundings(store: Path, **variables: str) -> dict[str, str]:
    """The environment of a process of ours."""
    _answer_file(store).unlink(missing_ok=True)
    ours = {"FLYTE_RAY_STORE": str(store), "ANSWER": str(_answer_file(store))}
    return os.environ | ours | variables


def answer(store: Path) -> int | None:
    """What the script that was started last came to; None when it did not get that far."""
    file = _answer_file(store)
    return int(file.read_text()) if file.exists() else None


def _answer_file(store: Path) -> Path:
    return store.with_name(f"{store.name}-answer")


def catalog(store: Path) -> Catalog:
    return Catalog(open_blobs(str(store)))


def mark_of(action: ActionRecord) -> str:
    """The name of the mark that an action of `squares` leaves."""
    values = action.inputs.values if action.inputs is not None else {}
    for name in ("x", "n"):
        if name in values:
            return f"{action.name}-{json.loads(values[name].inline or 'null')}"
    return action.name


def succeeded(store: Path, run: str) -> set[str]:
    """Marks of the actions whose success stands in the record of the run."""
    actions = catalog(store).actions(run).values()
    return {mark_of(action) for action in actions if action.phase.is_success}


def recovered(store: Path, run: str) -> set[str]:
    """Marks of the actions that the run adopted instead of running them."""
    actions = catalog(store).actions(run).values()
    return {mark_of(action) for action in actions if action.phase is ActionPhase.RECOVERED}


def executions(folder: Path) -> Counter[str]:
    """How often each body has begun, by mark."""
    return Counter({file.name: len(file.read_text().split()) for file in folder.iterdir()})
