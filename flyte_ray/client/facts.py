"""What the code of each task is made of, kept in the run's code bundle, to tell later what differs.

A file in the archive, `.flyte_ray/tasks.json`, written once per state of the code:

    {"version": 1, "tag": <of core/fingerprint>,
     "components": [["module.name", <digest>], …],
     "tasks": {<task>: {"at": "module.function", "identity": …, "code": …,
                        "components": [<index>, …], "packages": {<distribution>: <version>},
                        "tasks": ["module.function", …], "opaque": [<words>, …]}}}

It holds the root task and all tasks that it can reach through calls of tasks. The source texts are
the other files of the same archive.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray.author import registry
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.components import label_of
from flyte_ray.core.digest import canonical_json
from flyte_ray.core.fingerprint import TAG
from flyte_ray.core.ports import Blobs
from flyte_ray.core.reach import Reach, reached

FILE = ".flyte_ray/tasks.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """The code of one task, as a run had it."""

    task: str
    at: str
    """`module.function`."""
    identity: str
    reach: Reach


def facts_text(root: Callee) -> str:
    """The file's text for a run of this task."""
    numbers: dict[tuple[str, str], int] = {}
    tasks: dict[str, Any] = {}
    for at, task in _reachable(root):
        reach = reached(task.func)
        tasks[task.name] = {
            "at": at,
            "identity": task.identity,
            "code": reach.digest,
            "components": [
                numbers.setdefault(each, len(numbers)) for each in reach.components.items()
            ],
            "packages": dict(reach.packages),
            "tasks": list(reach.tasks),
            "opaque": list(reach.opaque),
        }
    data = {"version": VERSION, "tag": TAG, "components": [*map(list, numbers)], "tasks": tasks}
    return canonical_json(data)


def _reachable(root: Callee) -> list[tuple[str, Callee]]:
    """The root and every task that is called from there on, each once, in a stable order."""
    order = {label_of(root.func): root}
    known: dict[str, Callee] = {}
    if not reached(root.func).tasks:
        return list(order.items())
    for environment in registry.environments():
        for task in environment.tasks.values():
            known[label_of(task.func)] = task
    queue = list(order)
    while queue:
        for label in reached(order[queue.pop(0)].func).tasks:
            if label in known and label not in order:
                order[label] = known[label]
                queue.append(label)
    return list(order.items())


def read_facts(blobs: Blobs, code: CodeSpec) -> Mapping[str, TaskFacts]:
    """Facts by task name; empty for runs that shipped no code, or were made by older releases.

    Costs one GET of the whole archive.
    """
    if code.bundle_key is None:
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(blobs.get(code.bundle_key))) as archive:
            data = json.loads(archive.read(FILE))
    except (FileNotFoundError, KeyError, ValueError, zipfile.BadZipFile):
        return {}
    components = [(name, digest) for name, digest in data["components"]]
    return {name: _facts(name, each, components) for name, each in data["tasks"].items()}


def _facts(name: str, data: Mapping[str, Any], components: Iterable[tuple[str, str]]) -> TaskFacts:
    every = list(components)
    reach = Reach(
        digest=data["code"],
        components=dict(every[number] for number in data["components"]),
        packages=data["packages"],
        tasks=tuple(data["tasks"]),
        opaque=tuple(data["opaque"]),
    )
    return TaskFacts(task=name, at=data["at"], identity=data["identity"], reach=reach)
