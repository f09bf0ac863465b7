"""The front door: one table of names, lazily resolved."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import flyte_ray

SOURCE = Path(flyte_ray.__file__).read_text()
ROOT = Path(flyte_ray.__file__).parents[1]

TYPED = """
import flyte_ray as flyte
from flyte_ray.author.trace import trace

env = flyte.TaskEnvironment("typed")

@env.task
async def add(x: int, y: int = 1) -> int:
    return x + y

@env.task(retries=2, cache=True)
def text(x: int) -> str:
    return str(x)

@trace
def step(x: int) -> str:
    return str(x)

async def main() -> None:
    reveal_type(await add(1, y=2))
    reveal_type(await add.override(retries=3).aio(1))
    reveal_type(text(1))
    reveal_type(await text.aio(1))
    reveal_type(text.forward(1))
    reveal_type(step(1))
    await add("one")
    text(1, 2)
    text.override(retrys=3)
"""


def test_table_type_checker_block_and_all_agree() -> None:
    tree = ast.parse(SOURCE)
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: (node.module or "").removeprefix("flyte_ray.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == flyte_ray._HOMES
    assert set(flyte_ray.__all__) == {*typed, "version", "__version__"}
    assert len(flyte_ray.__all__) == len(set(flyte_ray.__all__))


@pytest.mark.parametrize("module", sorted(set(flyte_ray._HOMES.values())))
def test_every_home_exists(module: str) -> None:
    assert importlib.util.find_spec(f"flyte_ray.{module}") is not None


def test_names_are_listed_and_become_ordinary_attributes() -> None:
    assert {*flyte_ray.__all__, "errors", "io"} <= set(dir(flyte_ray))
    cache = flyte_ray.Cache
    assert vars(flyte_ray)["Cache"] is cache


def test_public_modules_are_attributes() -> None:
    import flyte_ray.errors as errors

    assert flyte_ray.errors is errors


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(flyte_ray, "no_such_name")
    with pytest.raises(ImportError):
        from flyte_ray import no_such_name  # type: ignore[attr-defined]  # noqa: F401


def test_a_door_that_does_not_exist_is_an_attribute_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flyte_ray, "_DOORS", frozenset({"door_of_nobody"}))
    assert not hasattr(flyte_ray, "door_of_nobody")


def test_the_version_is_a_text() -> None:
    assert flyte_ray.__version__ == flyte_ray.version()
    assert flyte_ray.version()[0].isdigit()


def test_authoring_needs_neither_ray_nor_pyarrow_nor_pydantic() -> None:
    script = (
        "import sys, flyte_ray as f\n"
        "env = f.TaskEnvironment('a', resources=f.Resources(cpu=1))\n"
        "env.task(f.trace(lambda: f.ctx()))\n"
        "print(*sorted({'ray', 'pyarrow', 'pydantic', 'fsspec'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_type_checkers_see_parameters_and_results_of_tasks(tmp_path: Path) -> None:
    path = tmp_path / "typed.py"
    path.write_text(TYPED)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if "typed.py" in line]
    notes = [line.split('"')[1] for line in said if "Revealed type" in line]
    assert [note.removeprefix("builtins.") for note in notes] == [
        "int",
        "int",
        "str",
        "str",
        "str",
        "str",
    ], done.stdout
    errors = [line for line in said if line.startswith("error")]
    assert len(errors) == 3, done.stdout
    assert 'incompatible type "str"; expected "int"' in errors[0]
    assert "Too many arguments" in errors[1]
    assert "retrys" in errors[2]
