"""Where code is found again: the address of a task.

A value that crosses processes; `author/reference` makes and resolves it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAddress:
    """Where a worker finds a task again.

    `module` is importable on the worker; when the task stands in a script that runs as
    `__main__`, `file` names it below the code root and `module` is the name it is given there.
    A task that cannot be imported (notebook, closure) travels by value: `blob_key` names the
    pickled task in the store.
    """

    name: str
    """The task's full name, `<environment>.<function>`."""
    module: str | None = None
    file: str | None = None
    blob_key: str | None = None
