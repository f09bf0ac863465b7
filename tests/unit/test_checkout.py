"""The adapters of a checkout are found, and only those of a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flyte_ray import _checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "flyte_ray").mkdir()
    (tmp_path / "adapters").mkdir()
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def test_adapters_are_found_beside_a_pyproject(checkout: Path) -> None:
    assert _checkout.adapters_folder(checkout / "flyte_ray") == checkout / "adapters"


def test_a_foreign_package_called_adapters_is_left_alone(checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()
    assert _checkout.adapters_folder(checkout / "flyte_ray") is None


def test_adapters_go_to_the_end_of_the_path_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["first"])
    _checkout.add_adapters_to_path()
    _checkout.add_adapters_to_path()
    assert sys.path == ["first", str(_checkout.adapters_folder())]
