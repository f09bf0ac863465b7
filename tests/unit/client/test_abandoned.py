"""A run whose owner was killed can be ended, by whoever finds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray import errors, remote
from flyte_ray.client.abandoned import end_if_abandoned
from flyte_ray.client.session import current_session
from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="abandoned")


@env.task
async def work(x: int) -> int:
    return x


def killed(name: str, began: timedelta) -> RunName:
    """A run whose owner died with one child at work."""
    since: dict[str, Any] = {"run_start_time": datetime.now(UTC) - began}
    dry: Any = flyte.with_runcontext("local", dry_run=True, name=name, **since).run(work, 1)
    session = current_session()
    tools = DeskTools(
        blobs=session.blobs(), cache=session.cache(), clock=SystemClock(), owner="killed"
    )
    host = HostDesk(tools).open(dry.task_spec)
    rows = [
        Event(
            kind=EventKind.SUBMITTED,
            at_us=dry.task_spec.started_us,
            action_id=ActionId(action),
            parent_id=ActionId(parent) if parent else None,
            task=work.name,
            phase=ActionPhase.QUEUED,
        )
        for action, parent in ((ROOT_ACTION, None), ("child", ROOT_ACTION))
    ]
    host.record(rows).result()
    return dry.task_spec.name


def test_a_silent_run_is_closed_as_aborted(flyte_local: LocalHarness) -> None:
    name = killed("gone", timedelta(hours=1))
    assert remote.Run.get(name).phase is ActionPhase.QUEUED
    assert end_if_abandoned(current_session(), name, "found it")
    run = remote.Run.get(name)
    assert run.done() and run.phase is ActionPhase.ABORTED
    assert {action.phase for action in run.actions()} == {ActionPhase.ABORTED}
    assert run.details().counts["aborted"] == 2
    with pytest.raises(errors.ActionAbortedError, match="found it"):
        run.raise_for_status()
    assert not end_if_abandoned(current_session(), name, "again")


def test_a_run_that_may_live_is_left_alone(flyte_local: LocalHarness) -> None:
    name = killed("fresh", timedelta(seconds=1))
    assert not end_if_abandoned(current_session(), name, "too soon")
    assert not remote.Run.get(name).done()
