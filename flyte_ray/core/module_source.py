"""The source of a module as it was loaded, by name: which statements make `scale` what it is.

The text is read when a task is decorated and the module is loaded by then (`core/loaded_text`), and
again only when it was loaded again: the file may be edited since, the code in memory is not.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte_ray.core.call_effects import called, statements_below
from flyte_ray.core.code_tree import DEFINITIONS
from flyte_ray.core.free_names import Imported, chain_of
from flyte_ray.core.loaded_text import read_loaded, text_of_file, text_of_loaded
from flyte_ray.core.name_pieces import Piece, pieces_of
from flyte_ray.core.origins import MAIN_NAMES, Origin
from flyte_ray.core.syntax import parsed


@dataclass(slots=True)
class ModuleSource:
    """A module's text, indexed when it is first asked for a name."""

    origin: Origin
    text: str
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tree(self) -> ast.Module:
        """The whole module; empty if it is no Python."""
        if "tree" not in self._cache:
            try:
                self._cache["tree"] = parsed(self.text)
            except (SyntaxError, ValueError, RecursionError):
                self._cache["tree"] = ast.Module([], [])
        tree: ast.Module = self._cache["tree"]
        return tree

    @property
    def names(self) -> Mapping[str, Sequence[Piece]]:
        """What makes each top-level name."""
        if "names" not in self._cache:
            found: dict[str, list[Piece]] = {}
            for name, piece in pieces_of(self.tree):
                found.setdefault(name, []).append(piece)
            self._cache["names"] = found
        names: Mapping[str, Sequence[Piece]] = self._cache["names"]
        return names

    @property
    def stars(self) -> Sequence[Imported]:
        """Modules of which everything is imported."""
        if "stars" not in self._cache:
            self._cache["stars"] = [
                Imported(node.module or "", node.level)
                for node in statements_below(self.tree)
                if isinstance(node, ast.ImportFrom) and any(e.name == "*" for e in node.names)
            ]
        stars: Sequence[Imported] = self._cache["stars"]
        return stars

    def definition(self, name: str, line: int) -> ast.AST | None:
        """The function or class of that name that begins there, decorators included."""
        if "definitions" not in self._cache:
            self._cache["definitions"] = {
                (node.name, _first_line(node)): node
                for node in statements_below(self.tree)
                if isinstance(node, DEFINITIONS)
            }
        found: ast.AST | None = self._cache["definitions"].get((name, line))
        return found

    def task_decorators(self, name: str) -> list[ast.expr]:
        """The `@env.task` of a name's definitions, as far as the source alone can tell."""
        return [
            each
            for piece in self.names.get(name, ())
            for node in piece.tree
            if isinstance(node, DEFINITIONS) and node.name == name
            for each in node.decorator_list
            if (chain_of(called(each)) or ("",))[1:][-1:] == ("task",)
        ]

    def makes_tasks(self, name: str) -> bool:
        """True for the name of an environment, as far as the source alone can tell."""
        calls = (
            getattr(node, "value", None)
            for piece in self.names.get(name, ())
            for node in piece.tree
        )
        made_by = (
            (chain_of(each.func) or ("",))[-1] for each in calls if isinstance(each, ast.Call)
        )
        return any(each.endswith("Environment") or each == "clone_with" for each in made_by)

    def absolute(self, imported: Imported) -> str:
        """The absolute name of a module that this one imports from."""
        if not imported.level:
            return imported.module
        package = self.origin.name if self.origin.is_package else _parent(self.origin.name)
        for _ in range(imported.level - 1):
            package = _parent(package)
        return ".".join(part for part in (package, imported.module) if part)


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return (node.decorator_list[0] if node.decorator_list else node).lineno


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


# ------------------------------------------------------------------------------- which text counts

_by_spec: dict[int, tuple[Any, ModuleSource]] = {}
"""Of loaded modules, by the id of the spec, which is kept: loading again makes a new one."""
_by_file: dict[str, ModuleSource] = {}
"""Of scripts, notebook cells and modules that are not loaded."""


def sources_of_specs() -> list[Any]:
    """The specs of the loaded modules whose source was read."""
    return [spec for spec, _ in list(_by_spec.values())]


def source_of_globals(names: Mapping[str, Any]) -> ModuleSource | None:
    """The source of the module whose globals these are; None where it has none."""
    name, file, spec = names.get("__name__"), names.get("__file__"), names.get("__spec__")
    if not isinstance(name, str) or not isinstance(file, str):
        return None
    if id(spec) in _by_spec:
        return _by_spec[id(spec)][1]
    is_package = "__path__" in names
    spelled = getattr(spec, "name", None) if name in MAIN_NAMES else name
    origin = Origin("author", spelled or name, file, is_package)
    if spec is None:
        return _of_file(origin)
    text = text_of_loaded(spec, file)
    if text is None:
        return None
    source = ModuleSource(origin, text)
    _by_spec[id(spec)] = spec, source
    return source


def remember(names: Mapping[str, Any]) -> None:
    """Read the source of a module now, while it is what is being loaded, and what it imported."""
    read_loaded()
    source = source_of_globals(names)
    if source is not None and names.get("__spec__") is None:
        _read_again(source.origin)  # a script has no spec that would tell one loading from another


def source_of_module(origin: Origin) -> ModuleSource | None:
    """The source of an author's module, loaded or not."""
    module = sys.modules.get(origin.name)
    if module is not None and getattr(module, "__file__", None) == origin.file:
        return source_of_globals(vars(module))
    return _of_file(origin)


def source_of_cell(file: str) -> ModuleSource | None:
    """The source of a notebook cell or of typed code, as far as Python keeps its lines."""
    lines = "".join(linecache.getlines(file))
    known = _by_file.get(file)
    if known is None or known.text != lines:
        if not lines:
            return None
        known = _by_file[file] = ModuleSource(Origin("author", "__main__", file), lines)
    return known


def _of_file(origin: Origin) -> ModuleSource | None:
    known = _by_file.get(origin.file or "")
    return known if known is not None and known.origin == origin else _read_again(origin)


def _read_again(origin: Origin) -> ModuleSource | None:
    known = _by_file.get(origin.file or "")
    source = _read(origin)
    if source is None:
        return known
    if known is None or (known.origin, known.text) != (source.origin, source.text):
        assert origin.file is not None
        known = _by_file[origin.file] = source
    return known


def _read(origin: Origin) -> ModuleSource | None:
    text = text_of_file(origin.file) if origin.file is not None else None
    return ModuleSource(origin, text) if text is not None else None
