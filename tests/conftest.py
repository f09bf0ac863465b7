"""What holds for every test: a store of its own, no foreign cluster, patient hypothesis."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Shared machines stall for seconds: a deadline per example would test the machine. Derandomised, so
# that a red build is red again; the soak looks for new examples.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.register_profile("soak", deadline=None, max_examples=2000, database=None)
settings.load_profile("soak" if os.environ.get("FLYTE_RAY_SOAK_S") else "house")

KEPT = {"FLYTE_RAY_SOAK_S"}


@pytest.fixture(scope="session", autouse=True)
def _isolated_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's settings and clusters out; the store is temporary."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith("FLYTE_RAY_") and name not in KEPT:
                patch.delenv(name)
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("FLYTE_RAY_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield
