"""One contract, two engines: every test that asks for `house` runs in this process and on Ray.

A session shares one store per mode and one embedded Ray, so a test tells its work apart by names
of its own: run names are made, and inputs hold the test's folder.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import ray

from flyte_ray.client import session
from tests.integration.contract.house import House

Stores: TypeAlias = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _session_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test settles on with `init` ends with it."""
    monkeypatch.setattr(session, "_session", session._session)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One embedded Ray for the whole session."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        # Keeps workers warm between tests: starting one costs seconds on a busy machine.
        _system_config={
            "idle_worker_killing_time_threshold_ms": 20_000,
            "num_workers_soft_limit": 6,
        },
    )
    yield
    ray.shutdown()


@pytest.fixture(
    scope="session", params=["local", pytest.param("remote", marks=pytest.mark.integration)]
)
def mode(request: pytest.FixtureRequest) -> str:
    """The engine: "local" or "remote"."""
    if request.param == "remote":
        request.getfixturevalue("cluster")
    return str(request.param)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """The store of each mode: a host on Ray takes a second to start, so they are shared."""
    folder = tmp_path_factory.mktemp("stores")
    return lambda mode: folder / mode


@pytest.fixture
def house(mode: str, stores: Stores) -> House:
    """The engine under test."""
    return _entered(House(mode, stores(mode)))


@pytest.fixture
def ray_house(cluster: None, stores: Stores) -> House:
    """For what only Ray can do or suffer."""
    return _entered(House("remote", stores("remote")))


@pytest.fixture
def local_house(stores: Stores) -> House:
    """For what only the in-process engine does."""
    return _entered(House("local", stores("local")))


def _entered(house: House) -> House:
    house.enter()
    return house


@pytest.fixture
def marks(tmp_path: Path) -> str:
    """A folder in which executions leave their marks; unique, so it also keeps caches apart."""
    folder = tmp_path / f"marks-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return str(folder)
