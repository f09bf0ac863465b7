"""The source as the architecture tests see it: files, their trees and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "flyte_ray"
ADAPTERS = ROOT / "adapters"

MODULES = sorted(PACKAGE.rglob("*.py"))
ADAPTER_MODULES = sorted(ADAPTERS.rglob("*.py"))
ROOMS = MODULES + ADAPTER_MODULES


def label(path: Path) -> str:
    """Name a file in a test report."""
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names that one import statement asks for; nothing for other nodes."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        prefix = "." * node.level + (node.module or "")
        yield from (f"{prefix}.{alias.name}" for alias in node.names)


def imports(path: Path) -> set[str]:
    """Return every dotted name a file imports, at whatever depth."""
    return {name for node in ast.walk(tree(path)) for name in imported(node)}


def import_roots(path: Path) -> set[str]:
    """Return the top-level packages a file imports; a relative import counts as an empty name."""
    return {name.split(".")[0] for name in imports(path)}
