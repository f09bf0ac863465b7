"""Which environments this process has seen, in the order they were made.

A list and a search, nothing else: `environment` writes it, `reference` and the command line read
it. A module that is loaded twice (a notebook cell, a reloaded file) registers twice; the latest
one wins.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class HasTasks(Protocol):
    """What the registry needs to know of an environment."""

    @property
    def name(self) -> str: ...
    @property
    def tasks(self) -> Mapping[str, Any]: ...


_environments: list[HasTasks] = []


def register(environment: HasTasks) -> None:
    """Remember an environment for as long as the process lives."""
    _environments.append(environment)


def environments() -> tuple[HasTasks, ...]:
    """All environments, oldest first."""
    return tuple(_environments)


def tasks_named(name: str) -> Iterator[Any]:
    """The tasks of that full name, latest first; last those of modules that others stand for now.

    The stored code of an earlier run is loaded beside the code that this process has.
    """
    latest_first = [each.tasks[name] for each in reversed(_environments) if name in each.tasks]
    yield from sorted(latest_first, key=_is_displaced)


def _is_displaced(task: Any) -> bool:
    func = inspect.unwrap(task.func)
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    return module is not None and getattr(func, "__globals__", vars(module)) is not vars(module)


def task_names() -> list[str]:
    """Full names of all registered tasks, sorted."""
    return sorted({name for environment in _environments for name in environment.tasks})
