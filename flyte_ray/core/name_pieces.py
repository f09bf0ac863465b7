"""Which statements of a module make a name what it is.

A name is what all top-level statements say of it that bind or change it: `def`, `class`,
assignments, `TABLE["x"] = …`, `TABLE.update(…)`, a decorator `@scale.register`. Statements inside
`if`, `try` and `with` count with the condition they stand under; `if TYPE_CHECKING` does not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyte_ray.core.free_names import Imported, bound_by, chain_of, imports_of

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
_BLOCKS = (ast.If, ast.Try, ast.TryStar, ast.With)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one statement has to do with a name."""

    tree: tuple[ast.AST, ...]
    """The statement, after the conditions that it stands under."""
    imported: Imported | None = None
    """Set where the statement imports the name; the tree is then of no interest."""


def pieces_of(tree: ast.Module) -> Iterator[tuple[str, Piece]]:
    """Each name with each statement that makes it, in their order."""
    yield from _pieces(tree.body, ())


def _pieces(body: Sequence[ast.stmt], under: tuple[ast.AST, ...]) -> Iterator[tuple[str, Piece]]:
    for node in body:
        if isinstance(node, ast.If) and _is_for_checkers(node.test):
            yield from _pieces(node.orelse, under)
        elif isinstance(node, _BLOCKS):
            yield from _block(node, under)
        elif imports := imports_of(node):
            for name, imported in imports.items():
                yield name, Piece((), imported)
        else:
            names = dict.fromkeys([*bound_by([node]), *_changed_by(node)])
            for name in names:
                yield name, Piece((*under, node))


def _block(
    node: ast.If | ast.Try | ast.TryStar | ast.With, under: tuple[ast.AST, ...]
) -> Iterator[tuple[str, Piece]]:
    if isinstance(node, ast.If):
        yield from _pieces(node.body, (*under, node.test))
        yield from _pieces(node.orelse, (*under, node.test, ast.Not()))
        return
    if isinstance(node, ast.With):
        for name in bound_by(node.items):
            yield name, Piece((*under, *node.items))
        yield from _pieces(node.body, (*under, *node.items))
        return
    for body in (node.body, node.orelse, node.finalbody):
        yield from _pieces(body, under)
    for handler in node.handlers:
        yield from _pieces(handler.body, (*under, *([handler.type] if handler.type else [])))


def _is_for_checkers(test: ast.expr) -> bool:
    chain = chain_of(test)
    return chain is not None and chain[-1] == "TYPE_CHECKING"


def _changed_by(node: ast.stmt) -> Iterator[str]:
    """Names of things that a statement changes without binding them."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = list(node.targets)
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        # `@scale.register` adds to scale; `@env.task` makes a task of its own.
        calls = [called(each) for each in node.decorator_list]
        targets = [each for each in calls if (chain_of(each) or ("task",))[-1] != "task"]
    for target in targets:
        inner = target
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if isinstance(inner, ast.Name) and inner is not target:
            yield inner.id


def statements_below(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below a node; expressions, which are most of a tree, are passed over."""
    for field_name in _BODIES:
        for each in getattr(node, field_name, ()):
            yield each
            yield from statements_below(each)


def called(node: ast.expr) -> ast.expr:
    """What a decorator names, whether it is called or not."""
    return node.func if isinstance(node, ast.Call) else node
