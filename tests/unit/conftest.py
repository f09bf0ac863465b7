"""Unit tests run without Ray: a test that starts a cluster belongs to tests/integration."""

from __future__ import annotations

from typing import NoReturn

import pytest
import ray


@pytest.fixture(autouse=True)
def _forbid_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail whoever starts or attaches to a cluster, also through Ray's automatic init."""

    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise AssertionError("a unit test called ray.init; move it to tests/integration")

    monkeypatch.setattr(ray, "init", refuse)
