"""Which names from outside a piece of source uses: `scale`, `config.RATE`, `from x import y`.

Scopes are followed as Python follows them: parameters, local variables, comprehensions and class
bodies hide what is outside. A name with its attributes is one chain (`np.linalg.norm`). Imports
within the piece bind names too, and are told apart from names that are looked up in the module.
What is computed (`getattr(x, name)`, `eval`) cannot be followed, and is noted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from flyte_ray.core.syntax import parsed

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_NAMED = (*_DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DYNAMIC = frozenset({"eval", "exec", "__import__", "globals", "vars"})
_BY_NAME = frozenset({"getattr", "setattr", "hasattr", "delattr"})


@dataclass(frozen=True, slots=True, order=True)
class Imported:
    """What an import statement binds a name to: a module, or a name in one."""

    module: str
    level: int = 0
    """Dots in front of the module's name."""
    name: str = ""
    """The name taken from it; empty for the module itself."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A chain of names that leads out of the piece."""

    chain: tuple[str, ...]
    imported: Imported | None = None
    """What the first name means, where an import within the piece binds it."""


Bindings: TypeAlias = Mapping[str, Imported | None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a piece of source uses."""

    references: frozenset[Reference]
    dynamic: tuple[str, ...]
    """What could not be followed, in words."""


def used_by(nodes: Iterable[ast.AST]) -> Findings:
    """What the pieces use from outside of themselves."""
    reader = _Reader()
    for node in nodes:
        reader.read(node, ())
    return Findings(frozenset(reader.found), tuple(sorted(reader.dynamic)))


def imports_of(node: ast.AST) -> dict[str, Imported]:
    """What an import statement binds; empty for other statements."""
    if isinstance(node, ast.Import):
        found = {}
        for alias in node.names:
            top = alias.name.partition(".")[0]
            found[alias.asname or top] = Imported(alias.name if alias.asname else top)
        return found
    if isinstance(node, ast.ImportFrom):
        return {
            alias.asname or alias.name: Imported(node.module or "", node.level, alias.name)
            for alias in node.names
            if alias.name != "*"
        }
    return {}


def bound_by(nodes: Iterable[ast.AST]) -> dict[str, Imported | None]:
    """Names that statements bind where they stand, not those of scopes within them."""
    found: dict[str, Imported | None] = {}
    outer: set[str] = set()
    for node in nodes:
        for name, imported in _bindings(node, outer):
            found[name] = imported or found.get(name)
    return {name: imported for name, imported in found.items() if name not in outer}


def chain_of(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as a tuple of names; None for other expressions."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return (node.id, *reversed(names))


def _bindings(node: ast.AST, outer: set[str]) -> Iterator[tuple[str, Imported | None]]:
    if isinstance(node, _COMPREHENSIONS):
        # Its variables are its own; only `:=` reaches out of it.
        for inner in ast.walk(node):
            if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name):
                yield inner.target.id, None
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from imports_of(node).items()
        return
    if isinstance(node, ast.Global | ast.Nonlocal):
        outer.update(node.names)
    name = _name_bound(node)
    if name is not None:
        yield name, None
    if not isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
        for child in _children(node):
            yield from _bindings(child, outer)


def _name_bound(node: ast.AST) -> str | None:
    """The name that this very node binds."""
    if isinstance(node, ast.Name):
        return node.id if not isinstance(node.ctx, ast.Load) else None
    if isinstance(node, _NAMED):
        return node.name
    return node.rest if isinstance(node, ast.MatchMapping) else None


def _texts_in(annotation: ast.AST | None) -> Iterator[str]:
    """Texts in an annotation that stand for types, not for themselves."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield annotation.value
    elif isinstance(annotation, ast.Subscript):
        name = (chain_of(annotation.value) or ("",))[-1]
        inside = annotation.slice
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        for part in parts[: {"Literal": 0, "Annotated": 1}.get(name)]:
            yield from _texts_in(part)
    elif isinstance(annotation, ast.BinOp):
        yield from _texts_in(annotation.left)
        yield from _texts_in(annotation.right)
    elif isinstance(annotation, ast.List):
        for part in annotation.elts:
            yield from _texts_in(part)


_LEAVES = (ast.Constant, ast.expr_context, ast.operator, ast.boolop, ast.cmpop, ast.unaryop)


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes below a node that may hold names; half of the time of `ast.iter_child_nodes`."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [e for e in value if isinstance(e, ast.AST) and not isinstance(e, _LEAVES)]
        elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
            found.append(value)
    return found


@dataclass(slots=True)
class _Reader:
    found: set[Reference] = field(default_factory=set)
    dynamic: set[str] = field(default_factory=set)

    def read(self, node: ast.AST, scopes: tuple[Bindings, ...]) -> None:
        """Note what the node uses; `scopes` are those around it, innermost last."""
        if isinstance(node, _FUNCTIONS):
            self._function(node, scopes)
        elif isinstance(node, ast.ClassDef):
            self._class(node, scopes)
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, scopes)
        elif isinstance(node, ast.Name | ast.Attribute):
            self._chain(node, scopes)
        elif isinstance(node, ast.Call):
            self._call(node, scopes)
        else:
            if isinstance(node, ast.arg | ast.AnnAssign):
                self._quoted(node.annotation, scopes)
            self._each(node, scopes)

    def _quoted(self, annotation: ast.AST | None, scopes: tuple[Bindings, ...]) -> None:
        """`"Order"` and `list["Order"]` in an annotation are what they are without quotes."""
        for text in _texts_in(annotation):
            try:
                self.read(parsed(f"({text}\n)"), scopes)
            except (SyntaxError, ValueError, RecursionError):
                continue  # a remark

    def _comprehension(self, node: ast.AST, scopes: tuple[Bindings, ...]) -> None:
        first, *others = node.generators  # type: ignore[attr-defined]  # of each kind
        own = (*scopes, bound_by([first.target, *(each.target for each in others)]))
        self.read(first.iter, scopes)  # `[RATE for RATE in RATE]`: the last one is outside
        for child in (first.target, *first.ifs, *others):
            self.read(child, own)
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                self.read(getattr(node, name), own)

    def _each(self, node: ast.AST, scopes: tuple[Bindings, ...]) -> None:
        for child in _children(node):
            self.read(child, scopes)

    def _function(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        scopes: tuple[Bindings, ...],
        around: tuple[Bindings, ...] | None = None,
    ) -> None:
        """`around`: the scopes in which decorators, defaults and annotations stand, if others."""
        around = scopes if around is None else around
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
        self.read(arguments, around)
        if not isinstance(node, ast.Lambda):
            self._quoted(node.returns, around)
            for each in [*node.decorator_list, *([node.returns] if node.returns else [])]:
                self.read(each, around)
        own = {**dict.fromkeys(each.arg for each in every), **bound_by(body)}
        for statement in body:
            self.read(statement, (*scopes, own))

    def _class(self, node: ast.ClassDef, scopes: tuple[Bindings, ...]) -> None:
        for each in [*node.decorator_list, *node.bases, *node.keywords]:
            self.read(each, scopes)
        own = bound_by(node.body)
        before: dict[str, Imported | None] = {}
        for statement in node.body:
            # `RATE = RATE`: what is not assigned yet is looked up outside.
            so_far = (*scopes, dict(before))
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                # Methods do not see the names of the class around them; `@total.setter` does.
                self._function(statement, scopes, so_far)
            else:
                if isinstance(statement, ast.Assign | ast.AnnAssign) and (value := statement.value):
                    self.read(value, so_far)
                self.read(statement, (*scopes, own))
            before.update(bound_by([statement]))

    def _chain(self, node: ast.Name | ast.Attribute, scopes: tuple[Bindings, ...]) -> None:
        chain = chain_of(node)
        if chain is None:
            self._each(node, scopes)
            return
        for scope in reversed(scopes):
            if chain[0] in scope:
                imported = scope[chain[0]]
                if imported is not None:
                    self.found.add(Reference(chain, imported))
                return
        self.found.add(Reference(chain))

    def _call(self, node: ast.Call, scopes: tuple[Bindings, ...]) -> None:
        chain = chain_of(node.func)
        if chain is not None and not any(scope.get(chain[0], ()) is None for scope in scopes):
            if chain[-1] == "import_module" or (len(chain) == 1 and chain[0] in _DYNAMIC):
                self.dynamic.add(f"{'.'.join(chain)}(…)")
            elif len(chain) == 1 and chain[0] in _BY_NAME and len(node.args) > 1:
                self._by_name(node, chain[0], scopes)
                return
        self._each(node, scopes)

    def _by_name(self, node: ast.Call, how: str, scopes: tuple[Bindings, ...]) -> None:
        """`getattr(config, "RATE")` is `config.RATE`, if the name is written out."""
        whose, name, *others = node.args
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.read(ast.Attribute(whose, name.value, ast.Load()), scopes)
        else:
            self.dynamic.add(f"{how} with a computed name")
            self.read(whose, scopes)
            self.read(name, scopes)
        for each in [*others, *node.keywords]:
            self.read(each, scopes)
