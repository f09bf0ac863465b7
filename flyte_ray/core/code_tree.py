"""A piece of source as plain values, so that it can be hashed: what it does, not how it is written.

Positions, comments, formatting and docstrings are gone; so are texts that stand alone as statements
and the order of a class's methods. What only some versions of Python write into a tree is left out,
so that the digest is the same in all of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BODIES = frozenset({"body", "orelse", "finalbody"})
_IGNORED = frozenset({"ctx", "type_comment", "kind"})


def plain(node: Any) -> Any:
    """A tree, a list of trees or a value in one, as lists of texts and numbers."""
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, _literal(node.value)]
    if isinstance(node, ast.AST):
        return [type(node).__name__, *_fields(node)]
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node if isinstance(node, str | int) else repr(node)


def _literal(value: object) -> str:
    if isinstance(value, frozenset):  # the order of a set differs from process to process
        return repr(sorted(map(repr, value)))
    return repr(value)


def _fields(node: ast.AST) -> Iterator[list[Any]]:
    for field, value in ast.iter_fields(node):
        if field in _IGNORED or value is None or value == []:
            continue
        if field in _BODIES and isinstance(value, list):
            kept = _statements(value)
            yield [field, plain(_in_order(kept) if isinstance(node, ast.ClassDef) else kept)]
        else:
            yield [field, plain(value)]


def _statements(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements that do something: docstrings and remarks in quotes do not."""
    return [each for each in body if not _is_remark(each)]


def _is_remark(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _in_order(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """A class's body with its definitions last and by name; fields keep the order they have."""
    named = [each for each in body if isinstance(each, DEFINITIONS)]
    others = [each for each in body if not isinstance(each, DEFINITIONS)]
    return [*others, *sorted(named, key=lambda each: each.name)]
