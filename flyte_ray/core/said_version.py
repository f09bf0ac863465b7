"""What authors say by hand of the version of a task's results: `Cache(version_override=…, salt=…)`.

Read from the source of the task's decorator, or of the environment that it names, so that it is the
same whether the task's module is loaded or not. Other options (`serialize`, `max_age`, resources)
say nothing about results. Names within it are followed like those of any code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from flyte_ray.core.call_effects import called
from flyte_ray.core.code_tree import plain
from flyte_ray.core.code_walk import TaskFound, stretch_from
from flyte_ray.core.components import Component
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.free_names import chain_of, used_by
from flyte_ray.core.module_source import ModuleSource, source_of_module
from flyte_ray.core.origins import origin_of

_SAYING = frozenset({"version_override", "salt", "policies"})
_MOST_HOPS = 20
"""An environment is imported through no more modules than these; circles end here."""
_PLACES = (1, 4, 5)
"""Of those in `Cache(behavior, version_override, serialize, ignored_inputs, salt, policies)`."""


def said_version(task: TaskFound) -> Digest:
    """A digest of what is said; empty where nothing is."""
    if not isinstance(task.said, ModuleSource):
        return _of_live(task.said)
    name = task.name.rpartition(".")[2]
    found = [
        digest
        for decorator in task.said.task_decorators(name)
        for source, request in _requests(task.said, decorator)
        if (digest := _of_request(source, request, name))
    ]
    return digest_json(found) if found else ""


def _of_live(task: Any) -> Digest:
    cache = getattr(task, "cache", None)
    said = [getattr(cache, "version_override", None) or "", getattr(cache, "salt", None) or ""]
    return digest_json(said) if any(said) else ""


def _requests(source: ModuleSource, decorator: ast.expr) -> Iterator[tuple[ModuleSource, ast.expr]]:
    """The `cache=` of a decorator, else that of its environment."""
    own = _cache_of(decorator)
    if own is not None:
        yield source, own
        return
    chain = chain_of(called(decorator))
    assert chain is not None, "what makes a task is a chain of names"
    yield from _of_environment(source, chain[:-1], set())


def _of_environment(
    source: ModuleSource, chain: Sequence[str], met: set[tuple[str, Sequence[str]]]
) -> Iterator[tuple[ModuleSource, ast.expr]]:
    """The `cache=` of an environment, else that of the one of which it is a clone."""
    if (source.origin.name, chain) in met:
        return
    met.add((source.origin.name, chain))
    for there, node in _statements_of(source, chain):
        value = getattr(node, "value", None)
        if not isinstance(value, ast.Call):
            continue
        request, made_by = _cache_of(value), chain_of(value.func) or ()
        if request is not None:
            yield there, request
        elif made_by[-1:] == ("clone_with",):
            yield from _of_environment(there, made_by[:-1], met)


def _cache_of(node: ast.expr) -> ast.expr | None:
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((each.value for each in keywords if each.arg == "cache"), None)


def _of_request(source: ModuleSource, request: ast.expr, task: str) -> Digest:
    parts = _saying(request)
    if not parts:
        return ""
    component = Component(
        key=(source.origin.file, task, "version"),
        name=f"{source.origin.name}.{task}",
        digest=digest_json([plain(each) for each in parts]),
        findings=used_by(parts),
        source=source,
    )
    return stretch_from(component).digest


def _saying(request: ast.expr) -> Sequence[ast.AST]:
    """The parts of `cache=…` that speak of the version."""
    if isinstance(request, ast.Constant):
        return []  # "auto", False
    if isinstance(request, ast.Call) and (chain_of(request.func) or ("",))[-1] == "Cache":
        placed = [each for place, each in enumerate(request.args) if place in _PLACES]
        return [*placed, *(each for each in request.keywords if each.arg in _SAYING)]
    return [request]


def _statements_of(
    source: ModuleSource, chain: Sequence[str], hops: int = 0
) -> Iterator[tuple[ModuleSource, ast.AST]]:
    """The statements that define what a chain of names leads to, in the author's modules."""
    name, *rest = chain
    for piece in source.names.get(name, ()):
        if piece.imported is None:
            yield from ((source, node) for node in piece.tree if not rest)
            continue
        path = [piece.imported.name, *rest] if piece.imported.name else rest
        there = _module_of(source.absolute(piece.imported), path, source)
        if there is not None and hops < _MOST_HOPS:
            yield from _statements_of(*there, hops + 1)


def _module_of(
    module: str, path: Sequence[str], near: ModuleSource
) -> tuple[ModuleSource, Sequence[str]] | None:
    """The author's module that has the first name of the path: this one, or one below it."""
    while path:
        origin = origin_of(module, near.origin)
        there = source_of_module(origin) if origin.kind == "author" and origin.file else None
        if there is not None and there is not near and path[0] in there.names:
            return there, path
        module, path = f"{module}.{path[0]}", path[1:]
    return None
