"""All code that a function can reach, that of other tasks included, and what it comes to.

    digest = H([[digest of the task's own stretch, version, [number of each task it names, …]], …])

A *stretch* is the code from one task on, up to other tasks (`core/code_walk`); it is read once per
process, however many tasks lead to it. Tasks are numbered in the order in which names lead to them,
so tasks that call themselves, or one another, need no special care. The *version* is what an author
says by hand of the results of a task below (`core/said_version`): whoever raises it wants no
answers of before, neither of that task nor of those above it.

Two digests, two uses (docs/decisions/0010): `own` names an action, so that an edit of a leaf
renames nothing above it; `digest` says whether what succeeded before may stand.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte_ray.core.code_walk import Stretch, TaskFound, forget_stretches, stretch_from
from flyte_ray.core.components import Component
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.roots import component_of_root, is_live
from flyte_ray.core.said_version import said_version

LONGEST_LIST = 50
"""Opaque things named in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a function can reach, and the digest of it all."""

    digest: Digest
    """Of everything, to any depth."""
    own: Digest
    """Of what is reached without passing through another task."""
    components: Mapping[str, Digest]
    """`module.name` of the author's code -> digest of its own statements."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Distribution -> version."""
    tasks: tuple[str, ...] = ()
    """`module.function` of the other tasks among it."""
    opaque: tuple[str, ...] = ()
    """What could not be followed, in words."""
    is_live: bool = False
    """Code of a notebook, a prompt or a closure: read from live objects, which may be others by the
    next run."""


_reaches: weakref.WeakKeyDictionary[Component, Reach] = weakref.WeakKeyDictionary()


def reached(func: Callable[..., Any]) -> Reach:
    """What a function can reach; found once per function and process.

    Decorators that keep `__wrapped__` are looked through: they are named in the source. Where they
    were applied by hand, they are not seen.
    """
    root = component_of_root(func)
    known = _reaches.get(root)
    if known is None:
        known = _reaches[root] = _reach(root)
    return known


def forget_reach() -> None:
    """Find out anew, for all functions, what they can reach."""
    forget_stretches()
    _reaches.clear()


def _reach(root: Component) -> Reach:
    met: dict[Component, TaskFound | None] = {root: None}
    stretches: list[Stretch] = []
    entries = []
    waiting = [root]
    for component in waiting:  # grows while it is walked
        found, own = met[component], stretch_from(component)
        links = []
        for task in own.tasks:
            if task.root not in met:
                met[task.root] = task
                waiting.append(task.root)
            links.append(waiting.index(task.root))
        entries.append([own.digest, said_version(found) if found is not None else "", links])
        stretches.append(own)
    return Reach(
        digest=digest_json(entries),
        own=stretches[0].digest,
        components={name: digest for own in stretches for name, digest in own.components.items()},
        packages={name: each for own in stretches for name, each in own.packages.items()},
        tasks=tuple(sorted(task.name for task in met.values() if task is not None)),
        opaque=tuple(sorted(set().union(*(own.opaque for own in stretches)))[:LONGEST_LIST]),
        is_live=is_live(root),
    )
