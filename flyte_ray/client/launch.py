"""`run`, `rerun` and `with_runcontext`: how runs are started.

Everything that can be wrong about a call is found here, before anything starts: the task, the
arguments and their types, the store, a request that no node can satisfy, the name.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from flyte_ray.author.live_code import forget_live_code
from flyte_ray.client.bundle import ship
from flyte_ray.client.dual import blocking
from flyte_ray.client.engines import mode_of
from flyte_ray.client.naming import checked_run_name, new_run_name
from flyte_ray.client.rerun import RerunOrder, start_rerun
from flyte_ray.client.run import Run
from flyte_ray.client.session import current_session
from flyte_ray.client.start import checked_task, make_spec, start, values_of
from flyte_ray.client.wishes import RunWishes
from flyte_ray.core.callee import Callee
from flyte_ray.core.context import current
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.engine.attempt import types_of

logger = logging.getLogger(__name__)

_OTHER_OPTIONS = frozenset(
    {
        "service_account",
        "copy_bundle_to",
        "interactive_mode",
        "log_format",
        "user_log_level",
        "reset_root_logger",
        "queue",
        "notifications",
        "preserve_original_types",
        "debug",
        "tracked_strict",
    }
)
"""Flyte's options that mean nothing here; accepted, so that its scripts run."""


class Runner:
    """Starts runs with the same wishes; made by `with_runcontext`."""

    def __init__(self, wishes: RunWishes) -> None:
        self._wishes = wishes

    @blocking
    def run(self, task: Callee, *args: Any, **kwargs: Any) -> Run:
        """Start a run of the task; see `flyte_ray.run`."""
        wishes = self._wishes
        callee = checked_task(task)
        forget_live_code()
        session = current_session()
        session.require_writable()
        mode = mode_of(session, wishes.mode)
        name = checked_run_name(wishes.name) if wishes.name is not None else new_run_name()
        types, owner = types_of(callee.interface), f"task {callee.name!r}, input"
        values = values_of(session, wishes, name)
        bound = callee.interface.bind(*args, **kwargs)
        if (here := current()) is not None and here.bench.veil is not None:
            here.bench.veil.check(bound, owner)
        inputs = session.codecs.encode(bound, types, values, owner)
        root = wishes.root_dir or session.root_dir
        code = ship(session.blobs(), copy_style=wishes.copy_style, root_dir=root, task=callee)
        spec = make_spec(session, wishes, callee, name=name, mode=mode, inputs=inputs, code=code)
        return start(session, callee, spec, wishes)

    @blocking
    def rerun(
        self,
        run_name: str,
        action_name: str = ROOT_ACTION,
        recover: bool = False,
        force_rerun_actions: list[str] | None = None,
        allow_missing_source_outputs: bool = False,
        code: str = "auto",
        **inputs: Any,
    ) -> Run:
        """Start a run like an earlier one; see `flyte_ray.rerun`."""
        order = RerunOrder(
            run_name=run_name,
            action_name=action_name,
            recover=recover,
            force=tuple(force_rerun_actions or ()),
            code=code,
            changes=inputs,
        )
        return start_rerun(current_session(), self._wishes, order)


def with_runcontext(mode: str | None = None, **options: Any) -> Runner:
    """A runner whose runs have these options.

    Args:
        mode: "remote" (Ray, the default), "local" (in this process) or "hybrid" (as remote).
        **options: name, env_vars, labels, annotations, custom_context, overwrite_cache,
            disable_run_cache, copy_style, root_dir, raw_data_path, run_base_dir, version,
            max_action_concurrency, run_start_time, interruptible, log_level, detached, background,
            project, domain, dry_run (see `client.start.DryRun`); Flyte's others are accepted and
            have no effect.

    Raises:
        TypeError: an option that neither Flyte nor this package has.
        ValueError: an option with an impossible value.
    """
    known = {field.name for field in dataclasses.fields(RunWishes)} - {"others", "mode"}
    unknown = set(options) - known - _OTHER_OPTIONS
    if unknown:
        raise TypeError(f"with_runcontext() has no option {', '.join(sorted(unknown))}")
    if mode is not None and mode not in ("local", "remote", "hybrid"):
        raise ValueError(f"mode must be 'local', 'remote' or 'hybrid', not {mode!r}")
    if mode == "hybrid" and not (options.get("name") and options.get("run_base_dir")):
        raise ValueError("mode='hybrid' needs both name=… and run_base_dir=…")
    others = {name: options[name] for name in _OTHER_OPTIONS & set(options)}
    if others.get("notifications"):
        logger.warning(
            "notifications of a run are not sent by this release; send them after run.wait(), or "
            "from a last task of the workflow."
        )
    given = {name: value for name, value in options.items() if name in known}
    return Runner(RunWishes(mode=mode, others=others, **given))


@blocking
def run(task: Callee, *args: Any, **kwargs: Any) -> Run:
    """Run a task as the root of a new run.

    On Ray (the default) this returns a handle as soon as the run exists. With `mode="local"` (see
    `with_runcontext`) it runs here, to the end, and raises what the root raised.

    Raises:
        TypeError: not a task; or a wrong, missing or unknown argument (named).
        UnserializableInputError: an argument that cannot be stored; names it, and the remedy.
        StoreUnwritableError: nothing can be recorded in the store.
        InfeasibleResourcesError: no node could ever satisfy the root's request.
    """
    return Runner(RunWishes()).run(task, *args, **kwargs)


@blocking
def rerun(
    run_name: str,
    action_name: str = ROOT_ACTION,
    recover: bool = False,
    force_rerun_actions: list[str] | None = None,
    allow_missing_source_outputs: bool = False,
    code: str = "auto",
    **inputs: Any,
) -> Run:
    """Start a new run like an earlier one.

    Args:
        run_name: the earlier run.
        action_name: rerun this action as a root, with its inputs; default: the whole run.
        recover: adopt what succeeded there; run only what failed, was never reached, or has
            changed. Adopted actions have the phase RECOVERED.
        force_rerun_actions: with `recover`, run these again although they succeeded.
        allow_missing_source_outputs: accepted; an action whose outputs are gone always runs again.
        code: "stored" (the earlier run's own), "current" (what you have now), or "auto": current
            for a recovery, as far as it is at hand, else stored.
        **inputs: inputs to change; the others keep their values.

    Raises:
        RunNotFoundError: there is no such run in the store.
        ValueError: `force_rerun_actions` without `recover`, an unknown input, an action that is
            no task.
    """
    return Runner(RunWishes()).rerun(
        run_name,
        action_name,
        recover,
        force_rerun_actions,
        allow_missing_source_outputs,
        code,
        **inputs,
    )
