"""`import flyte_ray` is cheap, complete and explained."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import flyte_ray
from tests.architecture.source import PACKAGE, ROOT

HEAVY = ("ray", "pyarrow", "fsspec", "gcsfs", "pydantic", "numpy", "pandas", "rich", "aiohttp")
EXPORTED = sorted(getattr(flyte_ray, "__all__", ()))


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = f"import sys, flyte_ray; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_name_resolves(name: str) -> None:
    assert hasattr(flyte_ray, name)


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_name_is_explained(name: str) -> None:
    value = getattr(flyte_ray, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"flyte_ray.{name} has no docstring"


def test_types_are_published() -> None:
    assert (PACKAGE / "py.typed").is_file()
