"""The code from one function on, up to other tasks: the walk from component to component.

    digest = H([[digest of the component, [[name, where it leads], …]], …])

Components are numbered in the order in which names lead to them, so neither the order of
definitions nor the names of modules count, while a name that leads elsewhere does. Names lead to
components, to packages (by distribution and version), to modules of Python (by name), to other
tasks (numbered too; `core/reach` goes on from there), or out of sight: those are listed as opaque.

Nothing of the author's is executed or imported to find this out. What a task is follows from its
source alone; a loaded module is asked only whether `@app.task` is another library's.
"""

from __future__ import annotations

import builtins
import inspect
import weakref
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MethodType, ModuleType
from typing import Any, TypeAlias

from flyte_ray.core.components import (
    Component,
    component_of_function,
    component_of_live_class,
    component_of_module,
    component_of_name,
    component_of_task,
    component_of_value,
    home_of,
    is_function,
    is_task,
    label_of,
    spelled,
)
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.free_names import Imported, Reference
from flyte_ray.core.module_source import ModuleSource, source_of_module
from flyte_ray.core.origins import Origin, distribution_of, origin_of, origin_of_code
from flyte_ray.core.reloading import left_behind
from flyte_ray.core.roots import component_of_root
from flyte_ray.core.star_imports import stars_with
from flyte_ray.core.task_names import is_task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFound:
    """Another task, to which a walk came."""

    name: str
    """`module.function`."""
    root: Component
    """Where its own code begins."""
    said: ModuleSource | Any
    """Where its options stand: the source that defines it, else the task object itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The code from one root on, up to other tasks."""

    digest: Digest
    components: Mapping[str, Digest]
    packages: Mapping[str, str]
    tasks: tuple[TaskFound, ...]
    """In the order in which names lead to them."""
    opaque: frozenset[str]


Target: TypeAlias = Component | list[Any] | None
"""A component; a plain statement of where a name leads; None for what does not count."""

_stretches: weakref.WeakKeyDictionary[Component, Stretch] = weakref.WeakKeyDictionary()


def forget_stretches() -> None:
    """Walk anew: a module on the way may have been loaded again since."""
    _stretches.clear()


def stretch_from(root: Component) -> Stretch:
    """The code from that component on; found once per component."""
    known = _stretches.get(root)
    if known is None:
        known = _stretches[root] = _Walk().walk(root)
    return known


class _Walk:
    """One walk, breadth first. What it met is in its fields."""

    def __init__(self) -> None:
        self._order: list[Component] = []
        self._numbers: dict[Hashable, int] = {}
        self._packages: dict[str, str] = {}
        self._tasks: dict[Component, TaskFound] = {}
        self._opaque: set[str] = set()
        self._keep: list[Any] = []

    def walk(self, root: Component) -> Stretch:
        self._number(root)
        entries = []
        for component in self._order:  # grows while it is walked
            edges = [[label, self._where(t)] for label, t in self._edges(component)]
            entries.append([component.digest, [edge for edge in edges if edge[1] is not None]])
        return Stretch(
            digest=digest_json(entries),
            components=_by_name(self._order),
            packages=dict(sorted(self._packages.items())),
            tasks=tuple(self._tasks.values()),
            opaque=frozenset(self._opaque),
        )

    def _number(self, component: Component) -> int:
        number = self._numbers.get(component.key)
        if number is None:
            number = self._numbers[component.key] = len(self._order)
            self._order.append(component)
        return number

    def _where(self, target: Target) -> Any:
        return self._number(target) if isinstance(target, Component) else target

    def _edges(self, component: Component) -> Iterator[tuple[str, Target]]:
        for note in component.findings.dynamic:
            self._opaque.add(f"{component.name}: {note}")
        for reference in sorted(component.findings.references, key=_as_text):
            yield ".".join(reference.chain), self._target(component, reference)
        for label, value in component.extras:
            yield label, self._of_value(value, (), f"{component.name}, {label}")

    # --------------------------------------------------------------------------- names in scope

    def _target(self, component: Component, reference: Reference) -> Target:
        first, *rest = reference.chain
        if reference.imported is not None:
            source = component.source
            return self._imported(source, reference.imported, tuple(rest))
        if first in component.names:
            value = component.names[first]
            return self._of_value(value, tuple(rest), f"{component.name}, {first}")
        if component.source is None:
            return None  # a built-in name, or an attribute's
        return self._in_module(component.source, reference.chain, component.name)

    def _in_module(self, source: ModuleSource, chain: tuple[str, ...], asker: str) -> Target:
        name, rest = chain[0], chain[1:]
        pieces = source.names.get(name)
        if pieces is None:
            return self._by_star(source, chain, asker)
        if is_task_of(source, name):
            return self._task_of_module(source, name)
        if rest[:1] == ("tasks",) and source.makes_tasks(name):
            self._opaque.add(f"{asker}: which of {name}.tasks it calls shows at run time only")
        targets = [self._taken(source, p.imported, chain, asker) for p in pieces if p.imported]
        own = component_of_name(source, name)
        targets += [own] if own is not None else []
        if len(targets) == 1:
            return targets[0]
        # `try: import ujson as json` and its fall-back: either may be meant.
        return ["either", *(self._where(each) for each in targets)]

    def _by_star(self, source: ModuleSource, chain: tuple[str, ...], asker: str) -> Target:
        packages: list[Origin] = []
        for star in stars_with(chain[0], source, packages):
            held = self._held(source, chain, star.origin.name, chain[0], asker)
            return held or self._in_module(star, chain, asker)
        if packages:
            targets = [self._package(each) for each in packages]
            return targets[0] if len(targets) == 1 else ["either", *targets]
        if chain[0] not in vars(builtins) and not chain[0].startswith("__"):
            self._opaque.add(f"{asker}: {chain[0]!r} is not defined in its module's source")
        return None

    # -------------------------------------------------------------------------------- modules

    def _taken(
        self, source: ModuleSource, imported: Imported, chain: tuple[str, ...], asker: str
    ) -> Target:
        """Where a name leads that stands for what its module imported when it was loaded."""
        held = self._held(source, chain, source.absolute(imported), imported.name, asker)
        return held or self._imported(source, imported, chain[1:])

    def _held(
        self, source: ModuleSource, chain: tuple[str, ...], module: str, name: str, asker: str
    ) -> Target:
        """What a module holds of another since before that was loaded again, if it does."""
        for value in left_behind(source, chain[0], module, name):
            self._opaque.add(f"{asker}: {chain[0]!r} is from before its module was loaded again")
            return self._of_value(value, chain[1:], f"{asker}, {chain[0]}")
        return None

    def _imported(
        self, source: ModuleSource | None, imported: Imported, rest: tuple[str, ...]
    ) -> Target:
        near = source.origin if source is not None else None
        name = source.absolute(imported) if source is not None else imported.module
        if source is not None and imported.name and name == source.origin.name:
            # `from . import part` in a package: not the package's name, but the module below it.
            return self._of_module(origin_of(f"{name}.{imported.name}", near), rest)
        path = (imported.name, *rest) if imported.name else rest
        return self._of_module(origin_of(name, near), path)

    def _of_module(self, origin: Origin, path: tuple[str, ...]) -> Target:
        if origin.kind == "python":
            return ["python", ".".join((origin.name, *path[:1]))]
        if origin.kind == "package":
            return self._package(origin)
        if origin.kind == "house":
            if ("remote", "Task") in pairwise((*origin.name.split("."), *path)):
                self._opaque.add("a deployed task, which is found by its name at run time")
            return None
        if origin.kind == "missing" or origin.is_compiled:
            why = "is not here" if origin.kind == "missing" else "is C code"
            self._opaque.add(f"module {origin.name} {why}")
            return ["opaque", origin.name]
        return self._of_authors_module(origin, path)

    def _of_authors_module(self, origin: Origin, path: tuple[str, ...]) -> Target:
        source = source_of_module(origin)
        if path and source is not None and path[0] in source.names:
            return self._in_module(source, path, origin.name)
        if path:
            below = origin_of(f"{origin.name}.{path[0]}", origin)
            if below.kind != "missing":
                return self._of_module(below, path[1:])
        if source is None:
            return None  # a namespace
        if path:
            if "__getattr__" in source.names:
                return self._in_module(source, ("__getattr__",), origin.name)
            return self._in_module(source, path, origin.name)
        return component_of_module(source)

    def _package(self, origin: Origin) -> Target:
        name, version = distribution_of(origin.name)
        self._packages[name] = version
        return ["package", name, version]

    def _task_of_module(self, source: ModuleSource, name: str) -> Target:
        label = f"{spelled(source.origin.name, source)}.{name}"
        return self._task(TaskFound(name=label, root=component_of_task(source, name), said=source))

    def _task(self, found: TaskFound) -> Target:
        self._tasks.setdefault(found.root, found)
        return ["task", list(self._tasks).index(found.root)]

    # ------------------------------------------------------------------------------ live values

    def _of_value(self, value: Any, rest: tuple[str, ...], label: str) -> Target:
        self._keep.append(value)  # its id must stay its own during the walk
        if is_task(value):
            root = component_of_root(value.func)
            return self._task(TaskFound(name=label_of(value.func), root=root, said=value))
        if isinstance(value, ModuleType):
            return self._of_module(origin_of(value.__name__), rest)
        if isinstance(value, partial | MethodType | staticmethod | classmethod):
            return self._of_bound(value, label)
        inner = inspect.unwrap(value) if callable(value) else value
        if is_function(inner) or isinstance(inner, type):
            return self._of_code(inner, label)
        return self._of_object(value, label)

    def _of_bound(self, value: Any, label: str) -> Target:
        func = value.func if isinstance(value, partial) else value.__func__
        parts: list[Any] = [self._where(self._of_value(func, (), label))]
        if isinstance(value, partial):
            given = [*enumerate(value.args), *sorted(value.keywords.items())]
            parts += [[str(k), self._where(self._of_value(v, (), label))] for k, v in given]
        elif isinstance(value, MethodType):
            parts.append(self._where(self._of_value(value.__self__, (), label)))
        return ["bound", *parts]

    def _of_code(self, value: Any, label: str) -> Target:
        origin = origin_of_code(value)
        if origin.kind == "package":
            return self._package(origin)
        if origin.kind in ("python", "house"):
            return [origin.kind, f"{origin.name}.{value.__qualname__}"]
        home = home_of(value)
        if home is not None:
            found = component_of_name(*home)
            if found is not None:
                return found
        if is_function(value):
            return component_of_function(value)
        if origin.is_compiled:
            self._opaque.add(f"{label}: class {value.__qualname__} is C code")
            return ["opaque", value.__qualname__]
        return component_of_live_class(value)

    def _of_object(self, value: Any, label: str) -> Target:
        plain = component_of_value(label, value)
        if plain is not None:
            return plain
        if isinstance(value, tuple | list | set | frozenset | dict):
            return self._of_container(value, label)
        kind = type(value)
        self._opaque.add(f"{label}: of a {kind.__qualname__} only the class is seen")
        return ["object", self._where(self._of_code(kind, label))]

    def _of_container(self, value: Any, label: str) -> Target:
        if len(self._keep) > 10_000:
            self._opaque.add(f"{label}: too large or too deep to be followed")
            return ["opaque", type(value).__name__]
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        if isinstance(value, set | frozenset):
            items = [("", each) for each in sorted(value, key=repr)]
        parts = [[str(k), self._where(self._of_value(v, (), f"{label}[{k}]"))] for k, v in items]
        return [type(value).__name__, *parts]


def _as_text(reference: Reference) -> tuple[tuple[str, ...], str]:
    return reference.chain, str(reference.imported or "")


def _by_name(components: list[Component]) -> dict[str, Digest]:
    """Digest by name; parts of one name (of a factory's functions) share an entry."""
    found: dict[str, list[Digest]] = {}
    for each in components:
        found.setdefault(each.name, []).append(each.digest)
    return {
        name: digests[0] if len(digests) == 1 else digest_json(digests)
        for name, digests in sorted(found.items())
    }
