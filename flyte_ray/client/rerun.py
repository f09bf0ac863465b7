"""Running an earlier run again: as it was, with other inputs, or from where it failed.

A recovery is a new run that asks the old one's record before it runs anything. What an action is
called depends on its task's code and inputs, so code that was edited runs again by itself and
untouched work is adopted; nobody has to say what changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyte_ray import errors
from flyte_ray.author import reference, registry
from flyte_ray.author.live_code import forget_live_code
from flyte_ray.client.bundle import main_file, ship
from flyte_ray.client.engines import mode_of
from flyte_ray.client.inputs import input_changes
from flyte_ray.client.naming import checked_run_name, new_run_name
from flyte_ray.client.run import Run
from flyte_ray.client.session import Session
from flyte_ray.client.start import make_spec, start, values_of
from flyte_ray.client.wishes import RunWishes
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import CodeSpec, RunSpec
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.payload import Payload
from flyte_ray.engine.attempt import types_of
from flyte_ray.engine.loading import Loader, importable, is_at_hand
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.unused_code import unmark_code
from flyte_ray.store.values import RunValues

logger = logging.getLogger(__name__)

CODE_CHOICES = ("auto", "stored", "current")


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunOrder:
    """What to run again, and how."""

    run_name: str
    action_name: str = ROOT_ACTION
    recover: bool = False
    force: tuple[str, ...] = ()
    code: str = "auto"
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code not in CODE_CHOICES:
            raise ValueError(f"code must be one of {', '.join(CODE_CHOICES)}, not {self.code!r}")
        if self.force and not self.recover:
            raise ValueError(
                "force_rerun_actions needs recover=True: a plain rerun runs all anyway"
            )
        if self.recover and self.action_name != ROOT_ACTION:
            raise ValueError("recover=True recovers a whole run; leave action_name out")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What the earlier run says about the action to run again."""

    run: RunSpec
    task: str
    address: TaskAddress
    inputs: Payload


def start_rerun(session: Session, wishes: RunWishes, order: RerunOrder) -> Run:
    """Start the new run; see `flyte_ray.rerun`."""
    session.require_writable()
    forget_live_code()
    source = _source(session, order)
    task, code = _task_and_code(session, source, order)
    name = checked_run_name(wishes.name) if wishes.name is not None else new_run_name()
    values = values_of(session, wishes, name)
    inputs = _changed_inputs(session, task, source, order, values)
    if code.root:  # else it is the stored code, of which the record tells
        owner = f"task {task.name!r}, input"
        inputs = session.codecs.renewed(inputs, types_of(task.interface), values, owner)
    mode = mode_of(session, wishes.mode or source.run.mode)
    merged = replace(
        wishes,
        env_vars={**source.run.env_vars, **(wishes.env_vars or {})},
        labels={**source.run.labels, **(wishes.labels or {})},
        annotations={**source.run.annotations, **(wishes.annotations or {})},
        disable_run_cache=wishes.disable_run_cache or source.run.disable_cache,
        custom_context={**source.run.custom_context, **(wishes.custom_context or {})},
    )
    spec = make_spec(session, merged, task, name=name, mode=mode, inputs=inputs, code=code)
    spec = replace(
        spec,
        source_run=source.run.name,
        relation="recover" if order.recover else "rerun",
        recover=order.recover,
        force_rerun_actions=order.force,
    )
    if order.code != "current" and code.root == "":
        spec = replace(spec, address=source.address)
    return start(session, task, spec, wishes)


def _source(session: Session, order: RerunOrder) -> _Source:
    catalog = Catalog(session.blobs())
    run = catalog.spec(order.run_name)
    if order.action_name == ROOT_ACTION:
        return _Source(run=run, task=run.task, address=run.address, inputs=run.inputs)
    action = catalog.action(run.name, order.action_name)
    if action.kind != "task" or action.inputs is None:
        raise ValueError(
            f"action {action.action_id} of run {run.name} is a {action.kind}: only tasks can be "
            "run again by themselves."
        )
    address = TaskAddress(**action.attrs["address"])
    return _Source(run=run, task=action.task, address=address, inputs=action.inputs)


def _task_and_code(session: Session, source: _Source, order: RerunOrder) -> tuple[Callee, CodeSpec]:
    wants_current = order.code == "current" or (order.code == "auto" and order.recover)
    if wants_current:
        try:
            return _current(session, source)
        except errors.ModuleLoadError as error:
            if order.code == "current":
                raise
            logger.warning("recovering with the stored code of %s: %s", source.run.name, error)
    code = replace(source.run.code, root="", host="", cwd="")
    if code.bundle_key is None and source.address.blob_key is None:
        raise errors.ModuleLoadError(
            f"run {source.run.name} shipped no code (copy_style='none'): rerun it with "
            'code="current" from where its code lies.'
        )
    return _stored(session, source, code), code


def _stored(session: Session, source: _Source, code: CodeSpec) -> Callee:
    """The task as the earlier run had it, loaded beside what this process has."""
    running, script = sys.modules["__main__"], main_file()
    for key in source.run.code_keys:
        unmark_code(session.blobs(), key)
    task = Loader(session.blobs()).load(source.address, code)
    if script is not None and str(script) == source.run.code.main_file:
        sys.modules["__main__"] = running  # the script goes on, and may start runs of its own
    return task


def _current(session: Session, source: _Source) -> tuple[Callee, CodeSpec]:
    """The task as it is now: in this process, or where the earlier run's code lies."""
    loaded = next(registry.tasks_named(source.task), None)
    if loaded is not None:
        return loaded, ship(session.blobs(), root_dir=session.root_dir)
    code, address = source.run.code, source.address
    if not is_at_hand(code):
        raise errors.ModuleLoadError(
            f"the code of run {source.run.name} lies in {code.root!r} on {code.host!r}, not here"
        )
    if address.file is not None:
        address = replace(address, file=str(Path(code.root) / address.file))
    blob = session.blobs().get(address.blob_key) if address.blob_key else None
    with importable(Path(code.root), code):
        task = reference.load(address, blob=blob)
    return task, replace(ship(session.blobs(), root_dir=code.root), cwd=code.cwd)


def _changed_inputs(
    session: Session, task: Callee, source: _Source, order: RerunOrder, values: RunValues
) -> Payload:
    unknown = set(order.changes) - set(task.interface.inputs)
    if unknown:
        raise ValueError(
            f"task {task.name!r} has no input {', '.join(sorted(unknown))}; it has "
            f"{', '.join(task.interface.inputs) or 'none'}."
        )
    types = types_of(task.interface)
    changed = {**_new_defaults(task, source, order), **order.changes}
    kept = {name: each for name, each in source.inputs.values.items() if name in types}
    differs = bool(changed) or len(kept) < len(source.inputs.values)
    if changed:
        encoded = session.codecs.encode(
            changed,
            {key: types[key] for key in changed},
            values,
            f"task {task.name!r}, input",
        )
        kept.update(encoded.values)
    if order.recover and differs:
        logger.warning(
            "run %s is recovered with changed inputs: adopted actions keep what they computed "
            "from the old ones",
            source.run.name,
        )
    return Payload(values=kept)


def _new_defaults(task: Callee, source: _Source, order: RerunOrder) -> dict[str, Any]:
    """Defaults of inputs that the earlier run did not have; told, as is what it had beyond these.

    Raises:
        ValueError: such an input has no default and was not given.
    """
    inputs = task.interface.inputs
    parted = input_changes(source.inputs.values, inputs)
    if not parted:
        return {}
    absent = [name for name in parted.new if name not in order.changes]
    missing = [name for name in task.interface.required_inputs() if name in absent]
    told = f"task {task.name!r} has other inputs now than in run {source.run.name} ({parted})"
    if missing:
        raise ValueError(
            f"{told}: give a value for {', '.join(missing)}, or take the code of that run "
            'with code="stored".'
        )
    logger.warning("%s: what is gone is left out, what is new has its default if not given", told)
    return {name: inputs[name][1] for name in absent}
