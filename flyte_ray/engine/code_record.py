"""Which code a task is made of, told to the record once per run and task.

An action's row names its task's identity, a digest; what went into it (functions, constants,
packages) stands on the first row of that task only, so that `flyte-ray why` can name what changed
at no cost per action. A process that did not see the first row tells it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flyte_ray.core.callee import Callee
from flyte_ray.core.reach import reached
from flyte_ray.engine.images import resolved

MOST_REMEMBERED = 10_000
NOTHING: Mapping[str, Any] = MappingProxyType({})
MOST_COMPONENTS = 500
"""More than these are cut: a row is no place for a whole library."""


class CodeRecord:
    """Remembers what this process has told. Thread-safe: single steps on a set."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def untold(self, run: str, task: Callee, identity: str) -> Mapping[str, Any]:
        """What a first row says of the task's code; nothing once this run has been told."""
        key = (run, identity)
        if key in self._told:
            return NOTHING
        if len(self._told) >= MOST_REMEMBERED:
            self._told.clear()
        self._told.add(key)
        found = surroundings_of(task)
        # A task that came by value brought its identity along; its source is not here to be read.
        if task.address.module is not None:
            found["reach"] = code_of(task)
        return found


def surroundings_of(task: Callee) -> dict[str, Any]:
    """What else a task says of itself: its image as it was resolved, its description."""
    found: dict[str, Any] = {}
    image, docs = task.options.image, getattr(task, "docs", None)
    if image is not None and image != "auto":
        found["image"] = resolved(image).to_json()
    if docs is not None:
        found["description"] = docs.description
    return found


def code_of(task: Callee) -> dict[str, Any]:
    """The components of a task's code, as plain JSON."""
    reach = reached(task.func)
    found: dict[str, Any] = {
        "digest": reach.digest,
        "own": reach.own,
        "components": dict(list(reach.components.items())[:MOST_COMPONENTS]),
    }
    if reach.packages:
        found["packages"] = dict(reach.packages)
    if reach.tasks:
        found["tasks"] = list(reach.tasks)
    if reach.opaque:
        found["opaque"] = list(reach.opaque)
    return found
