"""Where am I: `ctx()`, and the blocks that mark calls (`group`, `custom_context`).

Everything here reads or narrows the one context variable of `core/context`. Outside of an action
the blocks do nothing and `ctx()` is a null object: false, and None in every field.

The rule to know: `ctx().action` is the innermost traced step, `ctx().task_action` the real action.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from flyte_ray.author.checkpoint import Checkpoint, checkpoint_of
from flyte_ray.core.context import ActionContext, changed, current
from flyte_ray.core.ids import derive
from flyte_ray.errors import InitializationError

_NO_NAME = "Give it to `flyte_ray.init({0}=...)`, or set FLYTE_{1}."


@dataclass(frozen=True, slots=True)
class ActionID:
    """The full name of an action."""

    name: str
    run_name: str | None = None
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    @property
    def idempotency_key(self) -> str:
        """A key for outside services: the same in every attempt of this action, and nowhere else.

        Bodies run at least once. Hand this key to a service that accepts such keys, and a repeated
        attempt does not charge, send or create twice.
        """
        return derive("idempotency", self.run_name or "", self.name)


@dataclass(frozen=True, slots=True)
class GroupData:
    """The group that calls made here belong to."""

    name: str


@dataclass(frozen=True, slots=True)
class RawDataPath:
    """Where large values of the run are kept."""

    path: str


def _env_number(name: str) -> Any:
    """A property that reads a whole number from the environment, None when it is not set."""

    def read(_: object) -> int | None:
        text = os.environ.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else None

    return property(read, doc=f"`{name}` of the environment; None when it is not set.")


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What a running task may know of its surroundings. Read-only; `data` may be filled."""

    action: ActionID
    """The innermost traced step, else the task's action."""
    task_action: ActionID
    version: str | None = None
    """Digest of the run's code, once it was bundled."""
    raw_data_path: RawDataPath
    input_path: str | None = None
    output_path: str | None = None
    run_base_dir: str
    """A URL prefix in the store where this run may write files of its own."""
    report: Any = None
    group_data: GroupData | None = None
    checkpoint_paths: Any = None
    code_bundle: Any = None
    compiled_image_cache: Any = None
    data: dict[str, Any] = field(default_factory=dict)
    """Yours: shared by all code of this attempt, gone with it."""
    mode: str = "local"
    """"local" (in this process) or "remote" (on Ray)."""
    interactive_mode: bool = False
    custom_context: dict[str, str] = field(default_factory=dict)
    disable_run_cache: bool = False
    in_driver_literal_conversion: bool = False
    run_start_time: datetime
    """When the run began, UTC; equal in all its actions and attempts."""
    attempt_number: int = 0
    """0 in the first attempt, as with Flyte."""
    _here: ActionContext | None = field(default=None, repr=False, compare=False)

    rank = _env_number("RANK")
    local_rank = _env_number("LOCAL_RANK")
    world_size = _env_number("WORLD_SIZE")
    local_world_size = _env_number("LOCAL_WORLD_SIZE")
    node_rank = _env_number("NODE_RANK")
    nnodes = _env_number("NNODES")
    master_port = _env_number("MASTER_PORT")
    restart_attempt = _env_number("JOBSET_RESTART_ATTEMPT")

    @property
    def master_addr(self) -> str | None:
        """`MASTER_ADDR` of the environment; None when it is not set."""
        return os.environ.get("MASTER_ADDR")

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Reads what an earlier attempt of this action saved, and saves for the next one."""
        return checkpoint_of(self._here) if self._here is not None else None

    def is_in_cluster(self) -> bool:
        """True when the task runs on Ray."""
        return self.mode == "remote"

    def replace(self, **changes: Any) -> TaskContext:
        """A copy with other values; the running task's own context stays as it is."""
        return dataclasses.replace(self, **changes)

    def __getitem__(self, key: str) -> Any:
        return self.data.get(key)


class _Nowhere:
    """The context outside of an action: false, and None in every field."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def __getitem__(self, key: str) -> None:
        return None

    def is_in_cluster(self) -> bool:
        return False

    def replace(self, **_: Any) -> _Nowhere:
        return self

    def __repr__(self) -> str:
        return "<no task is running>"


_NOWHERE = _Nowhere()


def ctx() -> TaskContext:
    """The running task's context; outside of a task an object that is false and empty.

    Example:
        >>> bool(ctx()), ctx().action
        (False, None)
    """
    here = current()
    if here is None:
        return cast(TaskContext, _NOWHERE)
    run = here.run
    base = (here.store.url if here.store is not None else run.store_url).rstrip("/")
    options = run.options

    def named(action: str) -> ActionID:
        return ActionID(
            name=action,
            run_name=run.name,
            project=options.get("project"),
            domain=options.get("domain"),
            org=options.get("org"),
        )

    return TaskContext(
        action=named(here.scope_id),
        task_action=named(here.action_id),
        version=run.code.digest or None,
        raw_data_path=RawDataPath(run.raw_data_path or f"{base}/runs/{run.name}/values"),
        run_base_dir=run.run_base_dir or f"{base}/runs/{run.name}/files",
        report=here.bench.report,
        group_data=GroupData(here.group) if here.group else None,
        data=here.bench.data,
        mode=here.mode,
        custom_context=dict(here.custom_context),
        disable_run_cache=run.disable_cache,
        run_start_time=datetime.fromtimestamp(run.started_us / 1_000_000, UTC),
        attempt_number=here.attempt - 1,
        _here=here,
    )


@contextmanager
def group(name: str) -> Iterator[None]:
    """Show the calls made in this block as one group; the innermost group holds.

    The group is part of the calls' names: a call moved to another group runs again on recovery.

    Example:
        >>> with group("training"):
        ...     pass
    """
    with changed(group=name):
        yield


@contextmanager
def custom_context(**pairs: str) -> Iterator[None]:
    """Hand these texts to every task called in this block, and to all that those call.

    They are not part of names or cache keys. Inner blocks win.

    Raises:
        TypeError: a value is no text.

    Example:
        >>> with custom_context(team="vision"):
        ...     pass
    """
    for key, value in pairs.items():
        if not isinstance(value, str):
            raise TypeError(f"custom_context: {key!r} must be a text, not {value!r}")
    here = current()
    inherited: Mapping[str, str] = here.custom_context if here is not None else {}
    with changed(custom_context={**inherited, **pairs}):
        yield


def get_custom_context() -> dict[str, str]:
    """A copy of the texts that hold here; empty outside of a task.

    Example:
        >>> get_custom_context()
        {}
    """
    here = current()
    return dict(here.custom_context) if here is not None else {}


# ----------------------------------------------------------------------- where runs are filed

_session: dict[str, Any] = {}


def announce_session(
    *, project: str | None = None, domain: str | None = None, connected: bool = False
) -> None:
    """Told by the session (a higher floor) when `init` changes what holds outside of tasks."""
    _session.update(project=project, domain=domain, connected=connected)


def is_initialized() -> bool:
    """True once this process has a session: after `init`, or the first run.

    Example:
        >>> announce_session(project="mine")
        >>> is_initialized()
        True
    """
    return bool(_session)


def current_project() -> str:
    """The project of the running task, else the session's.

    Raises:
        InitializationError: neither is known.

    Example:
        >>> announce_session(project="mine")
        >>> current_project()
        'mine'
    """
    return _filed_under("project")


def current_domain() -> str:
    """The domain of the running task, else the session's.

    Raises:
        InitializationError: neither is known.

    Example:
        >>> announce_session(domain="mine")
        >>> current_domain()
        'mine'
    """
    return _filed_under("domain")


def _filed_under(what: str) -> str:
    action = ctx().action
    found = getattr(action, what, None) or _session.get(what)
    found = found or os.environ.get(f"FLYTE_{what.upper()}")
    if not found:
        raise InitializationError(
            "NotInitialized", "usage", f"no {what} is known. " + _NO_NAME.format(what, what.upper())
        )
    return str(found)


def is_control_plane_available() -> bool:
    """True in tasks that run on Ray, and outside of tasks once a cluster is connected.

    Example:
        >>> announce_session(connected=False)
        >>> is_control_plane_available()
        False
    """
    here = current()
    return here.mode != "local" if here is not None else bool(_session.get("connected"))
