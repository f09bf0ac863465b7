"""One wheel carries the house and its adapters, and hides nobody's package."""

from __future__ import annotations

import tomllib

from tests.architecture.source import ADAPTERS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_adapters_folder_is_no_package() -> None:
    assert not (ADAPTERS / "__init__.py").exists()


def test_adapter_packages_follow_the_naming_rule() -> None:
    packages = [path.parent.name for path in ADAPTERS.glob("*/__init__.py")]
    assert all(name.startswith("flyte_ray_") for name in packages)


def test_wheel_holds_only_packages_named_flyte_ray() -> None:
    assert PROJECT["tool"]["setuptools"]["packages"]["find"] == {
        "where": [".", "adapters"],
        "include": ["flyte_ray*"],
        "namespaces": False,
    }


def test_every_floor_stands_on_the_stair() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    stair = next(contract for contract in contracts if contract["id"] == "stair")
    steps = {step.strip("() ") for layer in stair["layers"] for step in layer.split("|")}
    floors = {path.parent.name for path in (ROOT / "flyte_ray").glob("*/__init__.py")}
    assert floors <= steps
