"""Executions leave files, so that they can be counted across processes."""

from __future__ import annotations

import time
import uuid
from pathlib import Path


def leave(folder: str, name: str) -> int:
    """Leave one mark; the number of marks of that name now."""
    where = Path(folder)
    (where / f"{name}~{uuid.uuid4().hex}").touch()
    return count(folder, name)


def count(folder: str, name: str) -> int:
    """How often something was executed."""
    return len(list(Path(folder).glob(f"{name}~*")))


def total(folder: str) -> int:
    """All executions."""
    return len(list(Path(folder).glob("*~*")))


def wait_for(folder: str, name: str, at_least: int = 1, patience_s: float = 60.0) -> None:
    """Block until so many marks are there."""
    give_up_at = time.monotonic() + patience_s
    while count(folder, name) < at_least:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{name} was executed {count(folder, name)} times only")
        time.sleep(0.02)
