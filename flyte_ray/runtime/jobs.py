"""What a Ray job brings along for its runs: their tasks get it, the host does not.

A detached actor keeps its creator's environment for life. A host that was made inside a job would
hang on that job's working directory, which Ray deletes some time after the job, and would hand the
job's packages and variables to the runs of everybody else. So it is made by a short-lived process
with a bare job of its own, and the order of each run carries what its tasks need; children get it
from their parents (Ray's own inheritance). The working directory is left out: workers have the
code from the run's bundle.

Where the cluster itself has no flyte_ray (it came with the job), the host must be made inside the
job after all.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import ray

logger = logging.getLogger(__name__)

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
PATIENCE_S = 120.0
_INSTALLERS = frozenset({"pip", "uv", "conda"})
_CODE = frozenset({"working_dir", "excludes"})
_CALL = "import sys; from flyte_ray.runtime.wiring import make_host; make_host(*sys.argv[1:])"


def is_bare() -> bool:
    """True when this driver's job has no environment that an actor would inherit."""
    return not dict(ray.get_runtime_context().runtime_env)


def environment_for_tasks() -> dict[str, Any]:
    """This driver's environment, less its code."""
    given = dict(ray.get_runtime_context().runtime_env)
    return {key: value for key, value in given.items() if key not in _CODE}


def merged(environment: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A task's environment on top of its run's; variables and packages add up.

    Ray refuses a container beside anything but variables, and two installers side by side: what the
    task says stands, as its packages are in its container.
    """
    variables = {**environment.get("env_vars", {}), **own.get("env_vars", {})}
    if "image_uri" in own:
        kept = {key: environment[key] for key in ("config",) if key in environment}
        return {**kept, **own, "env_vars": variables}
    if "uv" not in own:
        return {**environment, **own, "env_vars": variables}
    others = {key: each for key, each in environment.items() if key not in _INSTALLERS}
    packages = [*_packages(environment), *own["uv"]["packages"]]
    uv = {**own["uv"], "packages": list(dict.fromkeys(packages))}
    return {**others, **own, "uv": uv, "env_vars": variables}


def _packages(environment: Mapping[str, Any]) -> list[str]:
    """What the run's own environment has installed by pip or uv."""
    given = environment.get("pip") or environment.get("uv") or []
    return list(given["packages"] if isinstance(given, Mapping) else given)


def made_apart(name: str, store_url: str, fsync: bool) -> bool:
    """Have the host made by a process with a bare job; False where that cannot be."""
    variables = {key: text for key, text in os.environ.items() if key != JOB_CONFIG}
    variables["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    ended = subprocess.run(
        [sys.executable, "-c", _CALL, name, store_url, json.dumps(fsync)],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if ended.returncode != 0:
        logger.info("the host is made inside this job: %s", ended.stderr[-2000:])
    return ended.returncode == 0
