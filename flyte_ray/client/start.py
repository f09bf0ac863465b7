"""From a task and encoded inputs to a run that exists: the road that `run` and `rerun` share."""

from __future__ import annotations

import getpass
import hashlib
import platform
import socket
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import cast

from flyte_ray import errors
from flyte_ray.author import reference
from flyte_ray.author.task import Task
from flyte_ray.client.config import Settings, absolute
from flyte_ray.client.engines import Engine, engine_of
from flyte_ray.client.outputs import ActionInputs, named_values
from flyte_ray.client.run import Run
from flyte_ray.client.session import Session
from flyte_ray.client.wishes import RunWishes
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, CodeSpec, RunSpec
from flyte_ray.core.context import current
from flyte_ray.core.ids import ROOT_ACTION, ROOT_SCOPE, RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.core.payload import Payload
from flyte_ray.engine.action import Action
from flyte_ray.engine.blueprint import Blueprint
from flyte_ray.engine.code_record import code_of, surroundings_of
from flyte_ray.engine.images import INSTALL
from flyte_ray.engine.links import rendered_links
from flyte_ray.engine.loading import portable
from flyte_ray.store import layout
from flyte_ray.store.unused_code import unmark_code
from flyte_ray.store.values import RunValues


def checked_task(task: object) -> Callee:
    """The task to run.

    Raises:
        TypeError: it is none; a forgotten decorator is the usual reason.
    """
    if isinstance(task, Task):
        return cast(Callee, task)
    shown = getattr(task, "__qualname__", None) or repr(task)
    hint = ". Decorate it with @env.task, and pass the task itself, not the result of calling it"
    raise TypeError(f"run() needs a task, not {shown} ({type(task).__name__}){hint}.")


def values_of(session: Session, wishes: RunWishes, name: RunName) -> RunValues:
    """Where the run's inputs go."""
    return RunValues(session.blobs(), name, raw_data_path=_raw_data_path(session, wishes))


def _raw_data_path(session: Session, wishes: RunWishes) -> str | None:
    """Where files of tasks go; a relative path is meant from here, not from where a worker runs."""
    given = wishes.raw_data_path
    return absolute(given, Path.cwd()) if given else session.settings.raw_data_path


def make_spec(
    session: Session,
    wishes: RunWishes,
    task: Callee,
    *,
    name: RunName,
    mode: str,
    inputs: Payload,
    code: CodeSpec,
) -> RunSpec:
    """What the whole run will know of itself."""
    settings, parent = session.settings, current()
    began = wishes.run_start_time or datetime.now(UTC)
    return RunSpec(
        name=name,
        store_url=session.store_url,
        task=task.name,
        address=_address(session, task, code),
        task_identity=task.identity,
        inputs=inputs,
        code=code,
        mode=mode,
        started_us=int(began.timestamp() * 1e6),
        user=_user(),
        host=socket.gethostname(),
        env_vars=dict(wishes.env_vars or {}),
        labels=dict(wishes.labels or {}),
        annotations=dict(wishes.annotations or {}),
        custom_context=dict(wishes.custom_context or {}),
        overwrite_cache=wishes.overwrite_cache,
        disable_cache=wishes.disable_run_cache,
        interruptible=wishes.interruptible,
        max_action_concurrency=wishes.max_action_concurrency
        or settings.max_action_concurrency
        or 1000,
        raw_data_path=_raw_data_path(session, wishes),
        run_base_dir=absolute(wishes.run_base_dir, Path.cwd()) if wishes.run_base_dir else None,
        log_level=wishes.log_level,
        source_run=parent.run.name if parent is not None else None,
        relation="spawn" if parent is not None else None,
        versions=_versions(),
        options=_run_options(settings, wishes),
    )


def _run_options(settings: Settings, wishes: RunWishes) -> dict[str, object]:
    """Settings that all processes of the run must know, and where it is filed."""
    chosen = {
        "fsync": settings.fsync,
        "clamp_resources": settings.clamp_resources,
        "images": INSTALL if _installs_images(settings) else None,
        "project": wishes.project or settings.project,
        "domain": wishes.domain or settings.domain,
    }
    return {name: value for name, value in chosen.items() if value}


def _installs_images(settings: Settings) -> bool:
    if settings.images is not None:
        return settings.images == INSTALL
    return settings.address not in (None, "local")


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What `dry_run=True` gives for a run: all of it was checked, none of it was started."""

    task_spec: RunSpec
    inputs: ActionInputs
    """By name, defaults filled in."""
    code_bundle: CodeSpec


def start(session: Session, task: Callee, spec: RunSpec, wishes: RunWishes) -> Run:
    """Hand the run to its engine; in local mode, see it to its end. A dry run stops before that.

    Raises:
        InfeasibleResourcesError: no node could ever satisfy the root's request.
        RunExistsError: the name is taken.
    """
    if wishes.dry_run:
        types = {name: kind for name, (kind, _) in task.interface.inputs.items()}
        given = ActionInputs(named_values(session, spec.inputs, types))
        return cast(Run, DryRun(task_spec=spec, inputs=given, code_bundle=spec.code))
    engine = engine_of(session, spec.mode)
    if wishes.run_start_time is None:
        spec = replace(spec, started_us=utc_now_us())  # starting Ray took seconds, not the run
    if not spec.options.get("clamp_resources"):
        _refuse_infeasible(engine, task)
    link = engine.start(root_action(task, spec))
    handle = Run(session, spec, link=link, interface=task.interface, detached=wishes.detached)
    if spec.mode == "local" and not wishes.background:
        handle.wait(quiet=True)
        handle.raise_for_status()
    return handle


def _refuse_infeasible(engine: Engine, task: Callee) -> None:
    reason = engine.check(task.options)
    if reason is not None:
        raise errors.InfeasibleResourcesError(f"task {task.name!r}: {reason}", task=task.name)


def root_action(task: Callee, spec: RunSpec) -> Action:
    """The run's first action."""
    blueprint = Blueprint(task, spec, spec.address)
    key = blueprint.key(blueprint.digest_of(spec.inputs))
    first = AttemptSpec(
        run=spec,
        action_id=ROOT_ACTION,
        parent_id=None,
        scope=ROOT_SCOPE,
        task=task.name,
        address=spec.address,
        attempt=1,
        inputs=spec.inputs,
        options=task.options,
        custom_context=spec.custom_context,
        replay=spec.recover,
        cache_key=key,
    )
    more = {"reach": code_of(task), **surroundings_of(task), **rendered_links(task, first)}
    return Action(
        spec=first,
        task=task,
        question=blueprint.question(ROOT_ACTION, key, replay=False),
        attrs=blueprint.facts(ROOT_SCOPE, None, spec.custom_context, more),
    )


def _address(session: Session, task: Callee, code: CodeSpec) -> TaskAddress:
    """Where a worker, or a later rerun, finds the root's task."""
    address = portable(task.address, code.root)
    if address.module is not None:
        return address
    data = reference.dump_by_value(task)
    key = layout.code_by_value(hashlib.sha256(data).hexdigest())
    unmark_code(session.blobs(), key)
    session.blobs().put(key, data)
    return replace(address, blob_key=key)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _versions() -> dict[str, str]:
    """Python, what we rest on, and every loaded package that states its version."""
    versions = {"python": platform.python_version()}
    for name, module in list(sys.modules.items()):
        # Not `getattr`: a module may compute the attribute, or warn of it.
        if "." not in name and not name.startswith("_") and isinstance(module, ModuleType):
            said = vars(module).get("__version__")
            versions.update({name: said} if isinstance(said, str) else {})
    for name in ("flyte-ray", "ray", "pyarrow"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
