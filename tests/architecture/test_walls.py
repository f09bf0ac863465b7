"""Who may know whom: the contracts of pyproject.toml, and walls that contracts cannot express."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import (
    ADAPTER_MODULES,
    MODULES,
    PACKAGE,
    ROOT,
    import_roots,
    imported,
    imports,
    label,
    tree,
)

PURE = [
    path
    for path in MODULES
    if path.relative_to(PACKAGE).parts[0] in {"core", "errors", "errors.py"}
]
OUTSIDE_RUNTIME = [path for path in MODULES if not path.is_relative_to(PACKAGE / "runtime")]
CHOOSES_THE_ENGINE = PACKAGE / "client" / "engines.py"
PUBLIC_DOORS = {"extend", "errors", "io", "testing"}


def test_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", OUTSIDE_RUNTIME, ids=label)
def test_ray_is_imported_on_its_floor_only(path: Path) -> None:
    assert "ray" not in import_roots(path)


@pytest.mark.parametrize("path", PURE, ids=label)
def test_core_and_errors_need_the_standard_library_only(path: Path) -> None:
    foreign = import_roots(path) - sys.stdlib_module_names - {"flyte_ray"}
    assert not foreign


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_stand_at_the_top(path: Path) -> None:
    if path == CHOOSES_THE_ENGINE:
        return
    hidden = [
        f"line {statement.lineno}: {name}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in ast.walk(node)
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name in imported(statement)
    ]
    assert not hidden


def test_adapters_enter_by_the_public_doors_and_do_not_know_each_other() -> None:
    strange = {
        f"{label(path)}: {name}"
        for path in ADAPTER_MODULES
        for name in imports(path)
        if not may_enter(path.relative_to(ROOT / "adapters").parts[0], name)
    }
    assert not strange


def may_enter(adapter: str, name: str) -> bool:
    """Say whether a module of an adapter may import a dotted name."""
    package, _, rest = name.partition(".")
    if package == "flyte_ray":
        return rest.split(".")[0] in PUBLIC_DOORS
    return package == adapter or not package.startswith("flyte_ray_")
