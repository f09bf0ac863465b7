"""A Ray cluster of a test's own: started apart from every driver, on free ports, in its own folder.

Nothing is shared with other Rays on the machine, and nothing is left: the head lives in a process
of its own, and all that Ray started dies with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The agent that takes jobs listens on one fixed port in every Ray that `ray.init` starts. `ray
# start` has an option for it, but what that starts does not die with it.
_HEAD = """
import functools, json, logging, os, sys
facts = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what Ray prints is no fact
import ray
from ray._private.parameter import RayParams
from ray._private.utils import write_ray_address
RayParams.__init__ = functools.partialmethod(
    RayParams.__init__, dashboard_agent_listen_port=int(sys.argv[2]))
started = ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR,
                   **json.loads(sys.argv[1]))
# Else the driver of a job is sent to whatever Ray is found on this machine.
write_ray_address(started.address_info["gcs_address"], sys.argv[3])
print(json.dumps({"address": started.address_info["gcs_address"],
                  "dashboard": started.dashboard_url}), file=facts, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A running cluster."""

    address: str
    dashboard: str | None
    """`host:port`; None without one."""

    @property
    def variables(self) -> dict[str, str]:
        """What a driver needs in its environment to attach."""
        return {"RAY_ADDRESS": self.address}

    @property
    def job_variables(self) -> dict[str, str]:
        """What the command `ray job` needs in its environment."""
        return {"RAY_API_SERVER_ADDRESS": f"http://{self.dashboard}", "RAY_AUTH_MODE": "token"}


@contextlib.contextmanager
def started_head(
    cpus: int,
    *,
    gpus: int | None = 0,
    dashboard: bool = False,
    system: Mapping[str, object] | None = None,
) -> Iterator[Head]:
    """A cluster of one node, for as long as the block lasts.

    `gpus`: as many as it says it has, whatever the machine has; None for those that are there.
    `system`: Ray's own settings.
    """
    folder = tempfile.mkdtemp(prefix="fr", dir="/tmp")
    options: dict[str, object] = {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "include_dashboard": dashboard,
        "object_store_memory": 80 * 2**20,
        "_temp_dir": folder,
        "_system_config": dict(system or {}),
    }
    if dashboard:
        options["dashboard_port"] = _free_port()
    # Jobs inherit this: their entry point is found by PATH, and their settings are their own.
    environment = {key: text for key, text in os.environ.items() if "FLYTE_RAY" not in key}
    # A job that is stopped is killed after three seconds; on a busy machine it gets to abort its
    # run later.
    environment["RAY_JOB_STOP_WAIT_TIME_S"] = "60"
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    errors = Path(folder) / "head.err"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _HEAD, json.dumps(options), str(_free_port()), folder],
            env=environment | {"RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said, f"the head did not start: {errors.read_text()}"
        facts = json.loads(said)
        yield Head(address=facts["address"], dashboard=facts["dashboard"])
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def joined_node(head: Head, cpus: int, **variables: str) -> Iterator[None]:
    """One more node of the cluster, on this machine; `variables` are for this node alone."""
    command = [
        *(Path(sys.executable).with_name("ray"), "start", "--block"),
        *(f"--address={head.address}", f"--num-cpus={cpus}"),
        *("--object-store-memory", str(80 * 2**20)),
        *("--dashboard-agent-listen-port", str(_free_port())),
    ]
    process = subprocess.Popen(
        command,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while "Ray runtime started" not in said:
            line = process.stdout.readline()
            assert line, f"the node did not start: {said}"
            said += line
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
