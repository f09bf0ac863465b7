"""The environment of a task on top of that of its run: always one that Ray takes."""

from __future__ import annotations

from typing import Any

import pytest
from ray.runtime_env import RuntimeEnv

from flyte_ray.runtime.jobs import merged

UV = {"uv": {"packages": ["numpy"], "uv_pip_install_options": ["--pre"]}, "env_vars": {"A": "own"}}
CONTAINER = {"image_uri": "repo/x:1", "env_vars": {"A": "own"}}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"env_vars": {"A": "run", "B": "run"}},
        {"pip": ["attrs"]},
        {"pip": {"packages": ["attrs"], "pip_check": False}},
        {"uv": {"packages": ["attrs"]}},
        {"conda": {"dependencies": ["attrs"]}},
        {"config": {"setup_timeout_seconds": 5}, "py_modules": ["gcs://m.zip"]},
    ],
    ids=lambda given: " ".join(given) or "nothing",
)
@pytest.mark.parametrize("own", [UV, CONTAINER], ids=["packages", "container"])
def test_ray_takes_what_is_merged(given: dict[str, Any], own: dict[str, Any]) -> None:
    made = merged(given, own)
    RuntimeEnv(**made)
    assert made["env_vars"] == {**given.get("env_vars", {}), "A": "own"}
    assert made.get("image_uri") == own.get("image_uri")
    assert made.get("config") == given.get("config")


def test_packages_of_the_run_are_installed_too() -> None:
    both = ["attrs", "numpy"]
    for given in ({"pip": ["attrs"]}, {"pip": {"packages": ["attrs"]}}, {"uv": ["attrs"]}):
        made = merged(given, UV)
        assert made["uv"] == {"packages": both, "uv_pip_install_options": ["--pre"]}
    assert merged({"pip": ["attrs"]}, {"env_vars": {}})["pip"] == ["attrs"]
