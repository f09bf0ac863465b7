"""The house behind the commands: answers from the client and from the store.

The only room of the command line that imports the client's engines' side, and thereby pyarrow; it
is loaded when a command first needs it (`cli/main`).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from flyte_ray.cli.backend import GlobalOptions, RerunRequest, RunHandle, RunRequest
from flyte_ray.client import pools
from flyte_ray.client.abandoned import end_abandoned
from flyte_ray.client.config import Settings
from flyte_ray.client.launch import Runner, with_runcontext
from flyte_ray.client.run import Run
from flyte_ray.client.session import Session, current_session, init_from_config
from flyte_ray.store.catalog import Catalog, RunRecord
from flyte_ray.store.fold import ActionRecord

RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the entry point of a job, whose status must be that of its runs."""


def open_house(options: GlobalOptions) -> House:
    """Make the session that the options ask for.

    Raises:
        ConfigurationError: a setting that cannot be.
        InitializationError: the named configuration file does not exist.
    """
    init_from_config(options.config, **options.settings)
    return House(current_session())


class House:
    """The `Backend` of real life."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._catalog = Catalog(session.blobs())

    @property
    def settings(self) -> Settings:
        return self._session.settings

    def outlives_us(self, run: RunHandle) -> bool:
        """True when an attached cluster carries the run, and nobody waits for this process."""
        if cast(Run, run).spec.mode == "local" or RAY_JOB in os.environ:
            return False
        # Loaded already where a run is on Ray; loading it for others would cost a second.
        cluster = importlib.import_module("flyte_ray.runtime.cluster")
        return not cluster.is_embedded()

    def start(self, task: Any, inputs: Mapping[str, Any], request: RunRequest) -> RunHandle:
        return cast(RunHandle, _runner(request).run(task, **inputs))

    def start_again(self, rerun: RerunRequest, request: RunRequest) -> RunHandle:
        run = _runner(request).rerun(
            rerun.run_name,
            action_name=rerun.action_name,
            recover=rerun.recover,
            force_rerun_actions=list(rerun.force_rerun_actions) or None,
            allow_missing_source_outputs=rerun.allow_missing_source_outputs,
            code=rerun.code,
            **rerun.inputs,
        )
        return cast(RunHandle, run)

    def find(self, name: str) -> RunHandle:
        return cast(RunHandle, Run.get(name))

    def end_abandoned(self, runs: Sequence[RunHandle], reason: str) -> Collection[str]:
        return end_abandoned(self._session, [cast(Run, run) for run in runs], reason)

    def runs(self, limit: int | None) -> Sequence[RunRecord]:
        return self._catalog.runs(limit)

    def run(self, name: str) -> RunRecord:
        return self._catalog.run(name)

    def actions(self, name: str) -> Sequence[ActionRecord]:
        return list(self._catalog.actions(name).values())

    def pools(self) -> Sequence[Mapping[str, Any]]:
        return pools.pools(self._session)

    def stop_pool(self, name: str) -> Sequence[str]:
        return pools.stop_pool(self._session, name)

    def log_text(self, name: str, action_id: str, attempt: int | None) -> str:
        return self._catalog.log_text(name, action_id, attempt)


def _runner(request: RunRequest) -> Runner:
    """A runner that does not block in any mode, so that progress can be shown."""
    options = dict(request.options)
    options["background"] = True
    return with_runcontext(request.mode, **options)
