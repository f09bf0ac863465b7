"""Which statements of a module make a name what it is.

A name is what all top-level statements say of it that bind or change it: `def`, `class`,
assignments, `TABLE["x"] = …`, `TABLE.update(…)`, a decorator `@scale.register`. Statements inside
`if`, `try` and `with` count with the condition they stand under, loops and `match` as a whole;
`if TYPE_CHECKING` does not count. A call can change what it is given, `fill(TABLE, 3)`, and what
the function says it changes, `@register`, `setup()`; the latter is seen for functions of the same
module. In `if __name__ == "__main__"` such calls do not count: they make the run, not its code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyte_ray.core.call_effects import CallEffects, changed_by, statements_below
from flyte_ray.core.free_names import Imported, bound_by, chain_of, imports_of

_BLOCKS = (ast.If, ast.Try, ast.TryStar, ast.With)
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.Match)
_CALLING = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one statement has to do with a name."""

    tree: tuple[ast.AST, ...]
    """The statement, after the conditions that it stands under."""
    imported: Imported | None = None
    """Set where the statement imports the name; the tree is then of no interest."""


def pieces_of(tree: ast.Module) -> Iterator[tuple[str, Piece]]:
    """Each name with each statement that makes it, in their order."""
    yield from _Reading(CallEffects(tree)).pieces(tree.body, ())


@dataclass(frozen=True, slots=True)
class _Reading:
    effects: CallEffects

    def pieces(
        self, body: Sequence[ast.stmt], under: tuple[ast.AST, ...]
    ) -> Iterator[tuple[str, Piece]]:
        for node in body:
            if isinstance(node, ast.If) and _is_for_checkers(node.test):
                yield from self.pieces(node.orelse, under)
            elif isinstance(node, _BLOCKS):
                yield from self._block(node, under)
            elif imports := imports_of(node):
                for name, imported in imports.items():
                    yield name, Piece((), imported)
            elif isinstance(node, _LOOPS):
                yield from self._loop(node, under)
            else:
                for name in dict.fromkeys([*bound_by([node]), *self._changed(node, under)]):
                    yield name, Piece((*under, node))

    def _changed(self, node: ast.AST, under: tuple[ast.AST, ...]) -> Iterator[str]:
        yield from changed_by(node)
        if not any(_is_for_main(each) for each in under):
            yield from self.effects.of(node)

    def _loop(
        self, node: ast.For | ast.AsyncFor | ast.While | ast.Match, under: tuple[ast.AST, ...]
    ) -> Iterator[tuple[str, Piece]]:
        below = list(statements_below(node, into_definitions=False))
        imports = {k: v for each in below for k, v in imports_of(each).items()}
        for name, imported in imports.items():
            yield name, Piece((), imported)
        changed = [name for each in below for name in self._changed(each, under)]
        for name in dict.fromkeys([*bound_by([node]), *changed]):
            if name not in imports:
                yield name, Piece((*under, node))

    def _block(
        self, node: ast.If | ast.Try | ast.TryStar | ast.With, under: tuple[ast.AST, ...]
    ) -> Iterator[tuple[str, Piece]]:
        if isinstance(node, ast.If):
            yield from self.pieces(node.body, (*under, node.test))
            yield from self.pieces(node.orelse, (*under, node.test, ast.Not()))
            return
        if isinstance(node, ast.With):
            for name in bound_by(node.items):
                yield name, Piece((*under, *node.items))
            yield from self.pieces(node.body, (*under, *node.items))
            return
        for body in (node.body, node.orelse, node.finalbody):
            yield from self.pieces(body, under)
        for handler in node.handlers:
            yield from self.pieces(handler.body, (*under, *_optional(handler.type)))


def _optional(node: ast.AST | None) -> list[ast.AST]:
    return [node] if node is not None else []


def _is_for_checkers(test: ast.expr) -> bool:
    chain = chain_of(test)
    return chain is not None and chain[-1] == "TYPE_CHECKING"


def _is_for_main(test: ast.AST) -> bool:
    """True for `__name__ == "__main__"`."""
    return isinstance(test, ast.Compare) and chain_of(test.left) == ("__name__",)
