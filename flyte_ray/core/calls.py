"""A call on its way: what is asked for, what a worker is told, what a parent asks the host.

The values in this room cross processes, so they hold ids, addresses and encoded payloads, never
live objects. The one exception is `Call`, which stays in the caller's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.core.ids import ActionId, RunName, Scope
from flyte_ray.core.noun import noun
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.payload import Payload


@noun(frozen=True, slots=True, kw_only=True)
class Call:
    """Please run this task with these inputs (still Python values, defaults filled in)."""

    task: Callee
    inputs: Mapping[str, Any]


@noun(frozen=True, slots=True, kw_only=True)
class CodeSpec:
    """The code of a run: a content-addressed archive, and where it lies on the author's machine."""

    bundle_key: str | None = None
    """Key of the archive in the store; None for runs that ship nothing."""
    digest: str = ""
    root: str = ""
    """The directory that the archive's paths are relative to, on the machine that made it."""
    host: str = ""
    """The machine that made it."""
    cwd: str = ""
    """The author's working directory there."""
    sys_path: tuple[str, ...] = ()
    """Import path of the driver, used where the files are at hand."""
    import_roots: tuple[str, ...] = ()
    """Folders of the archive, relative to its root, that were on the import path."""
    main_file: str | None = None
    """The script that ran as `__main__`, relative to `root`."""
    flyte_alias: bool = False
    """Serve `import flyte` from this package."""


@noun(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What every process of a run knows of it. Written once as `run.json`, never changed."""

    name: RunName
    store_url: str
    task: str
    address: TaskAddress
    task_identity: str
    inputs: Payload
    code: CodeSpec = CodeSpec()
    mode: str = "local"
    """Either "local" (in-process) or "remote" (Ray)."""
    started_us: int = 0
    user: str = ""
    host: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    custom_context: Mapping[str, str] = field(default_factory=dict)
    overwrite_cache: bool = False
    disable_cache: bool = False
    interruptible: bool | None = None
    max_action_concurrency: int = 1000
    """Children of one parent in flight at once."""
    raw_data_path: str | None = None
    run_base_dir: str | None = None
    log_level: int | None = None
    source_run: RunName | None = None
    """The run this one reruns or recovers."""
    relation: str | None = None
    """One of "rerun", "recover", "spawn"."""
    recover: bool = False
    force_rerun_actions: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """python, flyte_ray, ray: for the record."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Anything else a later release records of a run (plain JSON values)."""

    @property
    def code_keys(self) -> frozenset[str]:
        """The objects of the store that hold its code: the bundle, and a root sent by value."""
        return frozenset(key for key in (self.code.bundle_key, self.address.blob_key) if key)


@noun(frozen=True, slots=True, kw_only=True)
class AttemptSpec:
    """All that a worker needs to carry out one attempt of one action."""

    run: RunSpec
    action_id: ActionId
    parent_id: ActionId | None
    scope: Scope
    task: str
    address: TaskAddress
    attempt: int
    """1, 2, …"""
    inputs: Payload
    options: TaskOptions
    group: str | None = None
    custom_context: Mapping[str, str] = field(default_factory=dict)
    replay: bool = False
    """True when children or traces of this action may already stand in the book."""
    queued_us: int = 0
    """When the attempt was submitted, by the clock of its driver."""
    cache_key: str | None = None

    def submitted(self, attempt: int, queued_us: int) -> AttemptSpec:
        """The spec of that attempt, submitted now; `replace` takes three times as long."""
        return AttemptSpec(
            run=self.run,
            action_id=self.action_id,
            parent_id=self.parent_id,
            scope=self.scope,
            task=self.task,
            address=self.address,
            attempt=attempt,
            inputs=self.inputs,
            options=self.options,
            group=self.group,
            custom_context=self.custom_context,
            replay=self.replay or attempt > 1,
            queued_us=queued_us,
            cache_key=self.cache_key,
        )


@noun(frozen=True, slots=True, kw_only=True)
class Question:
    """A parent asks before it runs a child or a trace: is there an answer already?"""

    action_id: ActionId
    task: str
    identity: str = ""
    """What the task must have been for a recovered run's success to stand; empty where the id says
    it all."""
    cache_key: str | None = None
    """None: do not look in the cache."""
    serialize: bool = False
    max_age_s: float | None = None
    replay: bool = True
    """Look in this run's book and in the recovered run."""
    adopt: bool = True
    """The recovered run may answer (False for forced actions)."""
    parent_id: ActionId | None = None
    """Who asks: a claim of its child ends with it."""


@noun(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found: the outputs of an earlier success, or nothing (an absent `Answer`)."""

    outputs: Payload
    source: str
    """"book" (this run), "recovered" or "cache"; "held" while somebody else computes it."""
    source_run: RunName
    source_action: ActionId
    error: str | None = None
    """JSON of an `ErrorInfo`: a trace that failed for good is raised again, not run."""
    ask_again_s: float = 0.0
    """Of a held answer (`Cache(serialize=True)`): when asking again is worth it."""

    @property
    def is_held(self) -> bool:
        """True when there are no outputs yet, but somebody computes them."""
        return self.source == "held"
