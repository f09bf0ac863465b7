"""Connecting to Ray: the cluster that is there, or one of our own in this process.

Order: a Ray that this process is connected to; the named address; `RAY_ADDRESS`; else an embedded
Ray, which lives as long as the process. Nothing is guessed from what else runs on the machine.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray._private.state import state
from ray._raylet import Config  # type: ignore[attr-defined]  # made in C++
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.experimental import internal_kv

from flyte_ray import errors

logger = logging.getLogger(__name__)

KNOCKS_FOR_S = 5.0
"""A head that is just starting may need so long to listen."""


def is_named(address: str | None) -> bool:
    """True when this process is connected, or knows where to connect to."""
    return ray.is_initialized() or _address(address) is not None


def _address(address: str | None) -> str | None:
    named = address or os.environ.get("RAY_ADDRESS")
    return None if named in (None, "", "local") else named


def connect(address: str | None, store_url: str) -> None:
    """Be connected to a cluster whose workers can use the store.

    Raises:
        InitializationError: there is no cluster at the address.
        UsageError: the store is a local path, but the cluster spans several machines.
    """
    if not ray.is_initialized():
        named = _address(address)
        if named is None:
            _start_embedded()
        else:
            _attach(named)
    _refuse_private_store(store_url)


_embedded = False


def is_embedded() -> bool:
    """True when the cluster lives and dies with this process."""
    return _embedded


def _start_embedded() -> None:
    global _embedded
    _embedded = True
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _attach(address: str) -> None:
    # A driver with an explicit address does not notice that the cluster wants a token; a cluster
    # that wants none takes one all the same. Ray has read the variable when it was imported.
    if "RAY_AUTH_MODE" not in os.environ and Path("~/.ray/auth_token").expanduser().exists():
        os.environ["RAY_AUTH_MODE"] = "token"
        Config.initialize("")
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise errors.InitializationError(
            "ClusterNotFound",
            "usage",
            f"there is no Ray cluster at {address!r} ({error}). Start one with "
            "`ray start --head`, or unset RAY_ADDRESS to use an embedded Ray.",
        ) from error


def _knock(address: str) -> None:
    """See whether anybody listens at host:port, which Ray tries to find out for minutes.

    Raises:
        ConnectionError: nobody does.
    """
    found = re.fullmatch(r"([\w.-]+):(\d+)", address)
    if found is None:
        return  # "auto", a client's address, IPv6: Ray's to understand
    give_up_at = time.monotonic() + KNOCKS_FOR_S
    while True:
        try:
            with socket.create_connection((found[1], int(found[2])), timeout=KNOCKS_FOR_S):
                return
        except OSError as error:
            if time.monotonic() >= give_up_at:
                raise ConnectionError(f"nobody listens there: {error}") from error
        time.sleep(0.5)


def leave() -> None:
    """Disconnect; an embedded Ray ends."""
    ray.shutdown()


def living_nodes() -> list[dict[str, Any]]:
    """What Ray knows of each node that is up."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's, untyped
    return [node for node in nodes if node["Alive"]]


def has_autoscaler() -> bool:
    """True when something may still add nodes to the cluster.

    A head that was started without one runs Ray's monitor all the same, over groups of nodes that
    it names itself (`node_<id>`). Ray's own `get_cluster_config` is set by hosted clusters only.
    """
    if state.get_cluster_config() is not None:
        return True
    if is_autoscaler_v2():
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        nodes = [*status.active_nodes, *status.idle_nodes]
        return has_groups([node.ray_node_type_name for node in nodes])
    report = internal_kv._internal_kv_get(DEBUG_AUTOSCALING_STATUS.encode())
    told = json.loads(report).get("autoscaler_report") or {} if report else {}
    return has_groups([*told.get("active_nodes", ()), *told.get("pending_launches", ())])


def has_groups(types: Iterable[str]) -> bool:
    """True if a type of nodes is one that somebody configured."""
    return any(name and not name.startswith("node_") for name in types)


def held_gpus() -> tuple[str, float]:
    """The node of this process, and how many of its GPUs Ray has given to the process."""
    context = ray.get_runtime_context()
    held = context.get_assigned_resources()  # type: ignore[no-untyped-call]  # Ray's, untyped
    return context.get_node_id(), float(held.get("GPU", 0.0))


def _refuse_private_store(store_url: str) -> None:
    if "://" in store_url and not store_url.startswith("file://"):
        return
    machines = {node["NodeManagerHostname"] for node in living_nodes()}
    if len(machines) > 1 and not os.environ.get("FLYTE_RAY_SHARED_STORE"):
        raise errors.ConfigurationError(
            f"the store {store_url!r} is a local directory, but the cluster spans "
            f"{len(machines)} machines, which cannot all see it. Set FLYTE_RAY_STORE to a bucket "
            "(gs://…, s3://…), or FLYTE_RAY_SHARED_STORE=1 if it lies on a shared file system."
        )
    if machines and machines != {socket.gethostname()}:
        logger.debug("the cluster's machine is %s", machines)
