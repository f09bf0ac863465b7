"""What the commands ask of the house, as Protocols, and one invocation of the command line.

Commands get an `Invocation` and reach runs and the record through its `backend()`; `cli/house`
answers from the client and the store, tests answer from plain values. Opened on first use, so that
`--help` starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from flyte_ray.core.model import ActionPhase
from flyte_ray.core.progress import Progress

if TYPE_CHECKING:  # pydantic and pyarrow cost more than a help page may take
    from flyte_ray.client.config import Settings
    from flyte_ray.store.catalog import RunRecord
    from flyte_ray.store.fold import ActionRecord


PIPE_WIDTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """Options that stand before the command, or behind it where that reads better."""

    config: str | None = None
    verbose: int = 0
    output_format: str = "table"
    progress: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings given as options: store, address, project, domain, log levels, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """How a run is to be started: the options of `with_runcontext` that were given."""

    mode: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRequest:
    """What is to be run again, and how much of it."""

    run_name: str
    action_name: str = "a0"
    recover: bool = False
    force_rerun_actions: Sequence[str] = ()
    allow_missing_source_outputs: bool = False
    code: str = "auto"
    """Whose code runs: "stored" (the earlier run's), "current", or "auto"."""
    inputs: Mapping[str, Any] = field(default_factory=dict)


class RunHandle(Protocol):
    """What the commands need of a run (`client/run`)."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def phase(self) -> ActionPhase: ...
    def wait(self, quiet: bool = False) -> None: ...
    def progress(self) -> Progress: ...
    def outputs(self) -> Any: ...
    def raise_for_status(self) -> None: ...
    def abort(self, reason: str = "") -> None: ...


class Backend(Protocol):
    """The house as the commands see it."""

    @property
    def settings(self) -> Settings: ...
    def outlives_us(self, run: RunHandle) -> bool:
        """True when the run goes on after this process has ended: an attached cluster has it."""
        ...

    def start(self, task: Any, inputs: Mapping[str, Any], request: RunRequest) -> RunHandle:
        """Start a run; returns while it goes on."""
        ...

    def start_again(self, rerun: RerunRequest, request: RunRequest) -> RunHandle:
        """Rerun or recover; returns while it goes on."""
        ...

    def find(self, name: str) -> RunHandle:
        """The run of that name. Raises `RunNotFoundError`."""
        ...

    def end_abandoned(self, runs: Sequence[RunHandle], reason: str) -> Collection[str]:
        """Close the records of those that nobody carries any more; their names. Takes a while."""
        ...

    def runs(self, limit: int | None) -> Sequence[RunRecord]:
        """The latest runs, newest first."""
        ...

    def run(self, name: str) -> RunRecord: ...
    def actions(self, name: str) -> Sequence[ActionRecord]: ...
    def pools(self) -> Sequence[Mapping[str, Any]]:
        """Pools of the connected cluster."""
        ...

    def stop_pool(self, name: str) -> Sequence[str]:
        """End pools by name or environment; their names."""
        ...

    def log_text(self, name: str, action_id: str, attempt: int | None) -> str: ...


class Invocation:
    """One call of `flyte-ray`: its options, where it prints, how it reaches the house."""

    def __init__(self, open_backend: Callable[[GlobalOptions], Backend]) -> None:
        self._open = open_backend
        self._backend: Backend | None = None
        self.options = GlobalOptions()

    def change(self, **options: Any) -> None:
        """Replace global options; those that are None stay."""
        given = {key: value for key, value in options.items() if value is not None}
        settings = {**self.options.settings, **given.pop("settings", {})}
        self.options = replace(self.options, settings=settings, **given)

    def backend(self) -> Backend:
        """The house, opened with the options as they are now."""
        if self._backend is None:
            self._backend = self._open(self.options)
        return self._backend

    @cached_property
    def out(self) -> Console:
        """For results. Into a pipe or a file tables are as wide as they need to be."""
        is_cut = sys.stdout.isatty() or "COLUMNS" in os.environ
        return Console(highlight=False, width=None if is_cut else PIPE_WIDTH)

    @cached_property
    def err(self) -> Console:
        """For everything else."""
        return Console(stderr=True, highlight=False)

    @property
    def writes_json(self) -> bool:
        """True when stdout is for programs: one JSON document, nothing else."""
        return self.options.output_format.startswith("json")
