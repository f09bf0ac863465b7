"""One part of what a task can reach: a function, a class, a constant, a value closed over.

A component knows its own digest (its statements, nothing of what they refer to) and which names it
refers to. Those of a module are found in its source; those of notebooks, factories and closures
are live objects. Where a live object stands at the top level of a module, it is the module's.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

from flyte_ray.core.code_tree import plain
from flyte_ray.core.compiled_code import names_in, plain_code, plain_value
from flyte_ray.core.digest import Digest, digest_json
from flyte_ray.core.free_names import Findings, Reference, bound_by, used_by
from flyte_ray.core.module_source import (
    ModuleSource,
    source_of_cell,
    source_of_globals,
)
from flyte_ray.core.name_pieces import Piece
from flyte_ray.core.origins import MAIN_NAMES, origin_of
from flyte_ray.core.reloading import is_left_behind
from flyte_ray.core.task_decorators import without_task_decorator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Component:
    """One part of the author's code."""

    key: Hashable
    """Equal for equal parts within one process."""
    name: str
    """`module.name`, for people."""
    digest: Digest
    """Of its own statements."""
    findings: Findings
    source: ModuleSource | None = None
    """Where its names are looked up."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """Live values that come first: what a function closes over, a notebook's globals."""
    extras: tuple[tuple[str, Any], ...] = ()
    """Further live values it holds: defaults of a function that a function made."""


_known: dict[tuple[int, str], Component] = {}
_roots: dict[tuple[int, str], Component] = {}
_sources: dict[int, ModuleSource] = {}
"""Keeps the sources of `_known` and `_roots` alive, so that their ids stay theirs."""


def spelled(module: str, source: ModuleSource | None = None) -> str:
    """A module's name for people: a script goes by its file."""
    if module not in MAIN_NAMES:
        return module
    file = source.origin.file if source is not None else None
    if file is None or not file.endswith(".py"):
        return "__main__"
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")


def component_of_name(source: ModuleSource, name: str) -> Component | None:
    """What a module's statements say of a name; None where they only import it, or nothing."""
    known = _known.get((id(source), name))
    if known is not None:
        return known
    pieces = [piece for piece in source.names.get(name, ()) if piece.imported is None]
    if not pieces:
        return None
    made = _of_pieces(source, name, pieces)
    _sources[id(source)] = source
    return _known.setdefault((id(source), name), made)


def component_of_task(source: ModuleSource, name: str) -> Component:
    """What a module's statements say of a task of that name, without the task's options."""
    known = _roots.get((id(source), name))
    if known is not None:
        return known
    pieces = [piece for piece in source.names.get(name, ()) if piece.imported is None]
    without = [Piece(tuple(without_task_decorator(n, {}) for n in p.tree)) for p in pieces]
    made = _of_pieces(source, name, without)
    _sources[id(source)] = source
    return _roots.setdefault((id(source), name), made)


def _of_pieces(source: ModuleSource, name: str, pieces: list[Piece]) -> Component:
    found = used_by(node for piece in pieces for node in piece.tree)
    references = frozenset(each for each in found.references if each.chain != (name,))
    return Component(
        key=(source.origin.file, name),
        name=f"{spelled(source.origin.name, source)}.{name}",
        digest=digest_json([[plain(node) for node in piece.tree] for piece in pieces]),
        findings=Findings(references, found.dynamic),
        source=source,
    )


def component_of_module(source: ModuleSource) -> Component:
    """A whole module, for code that hands it around as a value."""
    body = source.tree.body
    found = used_by(body)
    own = bound_by(body)
    outside = frozenset(r for r in found.references if r.chain[0] not in own)
    imports = frozenset(Reference((name,)) for name in source.names)
    return Component(
        key=(source.origin.file, None),
        name=spelled(source.origin.name, source),
        digest=digest_json(sorted(digest_json(plain(node)) for node in body)),
        findings=Findings(outside | imports, found.dynamic),
        source=source,
    )


def component_of_function(func: Callable[..., Any], *, is_root: bool = False) -> Component:
    """A live function, by its source where that can be read, else by its compiled code."""
    code: CodeType | None = getattr(func, "__code__", None)
    if code is None:
        return _without_code(func)
    names = getattr(func, "__globals__", {})
    source, is_cell = _home(names, code) if not is_left_behind(func) else (None, False)
    node = source.definition(code.co_name, code.co_firstlineno) if source is not None else None
    surroundings = _closure(func, code)
    extras = _defaults(func) if "<locals>" in func.__qualname__ or node is None else ()
    if source is None or node is None or code.co_name == "<lambda>":
        looked_up = names_in(code).union(code.co_freevars)
        found = Findings(frozenset(Reference((each,)) for each in looked_up), ())
        tree, around = plain_code(code), {**names, **surroundings}
    else:
        if is_root:
            node = without_task_decorator(node, {**names, **surroundings})
        found, tree = used_by([node]), plain(node)
        found = Findings(_others(found, code, surroundings), found.dynamic)
        around = {**names, **surroundings} if is_cell else surroundings
    return Component(
        key=id(func),
        name=_label(func, source, is_cell),
        digest=digest_json(tree),
        findings=found,
        source=None if is_cell or node is None else source,
        names=around,
        extras=extras,
    )


def _without_code(func: Any) -> Component:
    """A callable of C, or an object that can be called: known by its name, or its class's."""
    named = func if hasattr(func, "__qualname__") else type(func)
    label = f"{getattr(named, '__module__', '')}.{named.__qualname__}"
    extras: list[tuple[str, Any]] = []
    if isinstance(func, partial):
        extras = [("func", func.func), *((f"argument {n}", v) for n, v in enumerate(func.args))]
        extras += [(f"argument {name}", v) for name, v in sorted(func.keywords.items())]
    elif named is not func:
        extras = [("class", named)]
    digest = digest_json(["object", label])
    return Component(
        key=id(func), name=label, digest=digest, findings=_NOTHING, extras=tuple(extras)
    )


def _others(found: Findings, code: CodeType, closure: Mapping[str, Any]) -> frozenset[Reference]:
    """Without the function's own name, unless it closes over another thing of that name."""
    if code.co_name in closure:
        return found.references
    return frozenset(each for each in found.references if each.chain != (code.co_name,))


_NOTHING = Findings(frozenset(), ())


def component_of_live_class(cls: type) -> Component:
    """A live class, by its source where that can be read, else by what it is made of."""
    found = None if is_left_behind(cls) else _by_source(cls)
    return found or _by_parts(cls)


def _by_source(cls: type) -> Component | None:
    """Its source is found through one of its methods."""
    methods = [method for method in map(_method_of, vars(cls).values()) if is_function(method)]
    for method in methods:
        if method.__module__ != cls.__module__:
            continue
        source, is_cell = _home(method.__globals__, method.__code__)
        node = _class_around(source, cls.__name__, method.__code__.co_firstlineno)
        if node is not None:
            around = dict(method.__globals__) if is_cell else {}
            for each in methods:
                around.update(_closure(each, each.__code__))
            return Component(
                key=id(cls),
                name=f"{spelled(cls.__module__, source)}.{cls.__qualname__}",
                digest=digest_json(plain(node)),
                findings=used_by([node]),
                source=None if is_cell else source,
                names=around,
            )
    return None


def _class_around(source: ModuleSource | None, name: str, line: int) -> ast.ClassDef | None:
    """The innermost class of that name around a line."""
    found = None
    for node in ast.walk(source.tree) if source is not None else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            found = node if node.lineno <= line <= (node.end_lineno or 0) else found
    return found


def _by_parts(cls: type) -> Component:
    """Its bases, methods and attributes.

    What Python and libraries keep in a class (`__annotations__`, `__dataclass_fields__`) is made of
    these.
    """
    members = getattr(cls, "__members__", None) or {}  # of an enum
    parts: list[tuple[str, Any]] = [("base", base) for base in cls.__bases__]
    for name, value in sorted(vars(cls).items()):
        if isinstance(value, property):
            halves = (value.fget, value.fset, value.fdel)
            parts += [(name, each) for each in halves if each is not None]
        elif is_function(method := _method_of(value)):
            parts.append((name, method))
        elif not name.startswith("__") and name != "_abc_impl":
            parts.append((name, getattr(members.get(name), "value", value)))
    return Component(
        key=id(cls),
        name=f"{spelled(cls.__module__)}.{cls.__qualname__}",
        digest=digest_json(["class", cls.__name__]),
        findings=_NOTHING,
        extras=tuple(parts),
    )


def _method_of(value: Any) -> Any:
    """The function behind an attribute of a class; other attributes as they are."""
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, cached_property):
        value = value.func
    return inspect.unwrap(value) if callable(value) else value


def component_of_value(name: str, value: Any) -> Component | None:
    """A plain value; None for anything else."""
    try:
        tree = plain_value(value)
    except (ValueError, RecursionError):
        return None
    key = ("value", id(value), name)
    return Component(key=key, name=name, digest=digest_json(tree), findings=_NOTHING)


def home_of(value: Any) -> tuple[ModuleSource, str] | None:
    """Module and name of a live function or class that stands at the top level of a file."""
    inner: Any = inspect.unwrap(value) if callable(value) else value
    name = getattr(inner, "__qualname__", ".")
    if "." in name or name == "<lambda>" or is_left_behind(inner):
        return None
    code = getattr(inner, "__code__", None)
    if code is not None:
        source, is_cell = _home(inner.__globals__, code)
        found = source is not None and source.definition(name, code.co_firstlineno) is not None
        return (source, name) if source is not None and found and not is_cell else None
    if not isinstance(inner, type):
        return None
    origin = origin_of(inner.__module__)
    if origin.kind != "author" or origin.file is None:
        return None
    from_module = _globals_of_class(inner)
    source = source_of_globals(from_module) if from_module is not None else None
    return (source, name) if source is not None and name in source.names else None


def _globals_of_class(cls: type) -> Mapping[str, Any] | None:
    """Those of its module: of two states of a project in one process, the one that made it."""
    for method in map(_method_of, vars(cls).values()):
        names: dict[str, Any] = getattr(method, "__globals__", {})
        if names.get("__name__") == cls.__module__ and "__spec__" in names:
            return names
    found = sys.modules.get(cls.__module__)
    return vars(found) if isinstance(found, ModuleType) else None


def _home(names: Mapping[str, Any], code: CodeType) -> tuple[ModuleSource | None, bool]:
    """The source in which code stands, and whether it is a cell rather than a module's file."""
    source = source_of_globals(names)
    if source is not None and _same_file(source, names, code):
        return source, False
    return source_of_cell(code.co_filename), True


def _same_file(source: ModuleSource, names: Mapping[str, Any], code: CodeType) -> bool:
    return code.co_filename in (source.origin.file, names.get("__file__"))


def _closure(func: Callable[..., Any], code: CodeType) -> dict[str, Any]:
    cells = getattr(func, "__closure__", None) or ()
    found = {}
    for name, cell in zip(code.co_freevars, cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not assigned yet: a function that calls itself
    return found


def _defaults(func: Any) -> tuple[tuple[str, Any], ...]:
    positional = enumerate(func.__defaults__ or ())
    named = (func.__kwdefaults__ or {}).items()
    return tuple((f"default {key}", value) for key, value in [*positional, *named])


def _label(func: Any, source: ModuleSource | None, is_cell: bool) -> str:
    module = "__main__" if is_cell else spelled(func.__module__ or "", source)
    return f"{module}.{func.__qualname__.replace('<locals>.', '')}"


def label_of(func: Callable[..., Any]) -> str:
    """`module.function`, for people; a script goes by its file."""
    inner: Any = inspect.unwrap(func)
    code = getattr(inner, "__code__", None)
    if code is None:
        return _without_code(inner).name
    return _label(inner, *_home(getattr(inner, "__globals__", {}), code))


def is_task(value: Any) -> bool:
    """True for task objects, which live on a higher floor."""
    return isinstance(getattr(type(value), "task_type", None), str)


def is_function(value: Any) -> bool:
    """True for functions written in Python."""
    return isinstance(value, FunctionType)
