"""What a room looks like: small, signed, named after one idea."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.source import MODULES, PACKAGE, ROOMS, label, tree

MOST_LINES_A_ROOM = 350
MOST_LINES_A_FUNCTION = 60
SHORTEST_SIGN = 20
NO_IDEA = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "types"}
# Flyte has a module of this name; ours is a thin public door to the codecs.
DOORS_NAMED_BY_FLYTE = {PACKAGE / "types.py"}
PUBLIC_DOORS = {"errors", "report", "durable", "extend", "extras", "app", "io", "testing"}
INNER_FLOORS = sorted(
    path for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in PUBLIC_DOORS
)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    sign = node.body[0] if ast.get_docstring(node) else None
    documented = (sign.end_lineno or sign.lineno) - sign.lineno + 1 if sign else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - documented


@pytest.mark.parametrize("path", ROOMS, ids=label)
def test_room_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_A_ROOM


@pytest.mark.parametrize("path", ROOMS, ids=label)
def test_functions_are_short(path: Path) -> None:
    long = {
        node.name: length(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length(node) > MOST_LINES_A_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("path", ROOMS, ids=label)
def test_room_has_a_sign(path: Path) -> None:
    assert len(ast.get_docstring(tree(path)) or "") >= SHORTEST_SIGN


@pytest.mark.parametrize("path", ROOMS, ids=label)
def test_room_is_named_after_an_idea(path: Path) -> None:
    assert path in DOORS_NAMED_BY_FLYTE or path.stem.strip("_") not in NO_IDEA


@pytest.mark.parametrize("path", INNER_FLOORS, ids=label)
def test_inner_floor_has_nothing_but_its_sign_at_the_door(path: Path) -> None:
    assert len(tree(path).body) == 1


def test_there_are_rooms_to_look_at() -> None:
    assert PACKAGE / "core" / "__init__.py" in MODULES
