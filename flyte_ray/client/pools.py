"""Pools of warm replicas on the cluster, as people ask for them: list, and stop."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flyte_ray import errors
from flyte_ray.client.engines import connected_engine
from flyte_ray.client.session import Session


def pools(session: Session) -> Sequence[Mapping[str, Any]]:
    """The pools of the connected cluster; none where no cluster is named.

    Each with `name environment replicas starting busy waiting idle_s is_replaced limits`.
    """
    engine = connected_engine(session)
    return [dataclasses.asdict(state) for state in engine.pools()] if engine is not None else []


def stop_pool(session: Session, name: str) -> Sequence[str]:
    """End a pool by its name, or all of an environment by the environment's; their names.

    Attempts that run in it are lost with it, and retried like those of a lost worker.

    Raises:
        ConfigurationError: no cluster is named.
        UsageError: no such pool.
    """
    engine = connected_engine(session)
    if engine is None:
        raise errors.ConfigurationError(
            "no cluster is named, and pools live on clusters: set RAY_ADDRESS or give --address."
        )
    stopped = engine.stop_pool(name)
    if not stopped:
        raise errors.UsageError(
            f"there is no pool {name!r} on the cluster. `flyte-ray get pools` lists them."
        )
    return stopped
