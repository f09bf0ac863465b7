"""A run whose owner was killed can be ended, by whoever finds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray import errors, remote
from flyte_ray.client.abandoned import end_abandoned
from flyte_ray.client.session import current_session
from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.store import layout
from flyte_ray.store.liveness import LOCAL_WATCH
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

env = flyte.TaskEnvironment(name="abandoned")


@env.task
async def work(x: int) -> int:
    return x


def desk_tools(owner: str) -> DeskTools:
    session = current_session()
    return DeskTools(blobs=session.blobs(), cache=session.cache(), clock=SystemClock(), owner=owner)


def killed(name: str) -> RunName:
    """A run whose owner died with one child at work."""
    dry: Any = flyte.with_runcontext("local", dry_run=True, name=name).run(work, 1)
    host = HostDesk(desk_tools("killed")).open(dry.task_spec)
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


class Watching:
    """A clock that only watching moves, and what the run's owner does meanwhile."""

    def __init__(self, *owners: Callable[[int], None]) -> None:
        self.now_s = 0.0
        self.owners = owners

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for owner in self.owners:
            owner(int(self.now_s))

    def ended(self, *names: str, reason: str = "found it") -> list[RunName]:
        runs = [remote.Run.get(name) for name in names]
        clock: dict[str, Any] = {"monotonic": lambda: self.now_s, "sleep": self.sleep}
        return end_abandoned(current_session(), runs, reason, **clock)


def beat(name: str, number: int, clock_s: int = 0) -> None:
    """A sign of life of an owner whose clock goes wrong by so much."""
    data = {"epoch": 1, "count": number, "at_us": utc_now_us() + clock_s * 1_000_000}
    current_session().blobs().put(layout.heartbeat(RunName(name)), json.dumps(data).encode())


@pytest.mark.parametrize("clock_s", [None, -86_400, 0, 86_400])
def test_a_run_that_stands_still_is_closed_as_aborted(
    flyte_local: LocalHarness, clock_s: int | None
) -> None:
    name = killed("gone")
    if clock_s is not None:
        beat(name, 7, clock_s)
    assert remote.Run.get(name).phase is ActionPhase.QUEUED
    watching = Watching()
    assert watching.ended(name) == [name]
    assert watching.now_s == LOCAL_WATCH.ttl_s
    run = remote.Run.get(name)
    assert run.done() and run.phase is ActionPhase.ABORTED
    assert {action.phase for action in run.actions()} == {ActionPhase.ABORTED}
    assert run.details().counts["aborted"] == 2
    with pytest.raises(errors.ActionAbortedError, match="found it"):
        run.raise_for_status()
    assert Watching().ended(name) == []


@pytest.mark.parametrize("clock_s", [-86_400, 0, 86_400])
def test_a_run_whose_heartbeat_moves_is_left_alone_whatever_its_clock_says(
    flyte_local: LocalHarness, clock_s: int
) -> None:
    name = killed("alive")
    beat(name, 1, clock_s)
    watching = Watching(lambda now_s: beat(name, 2, clock_s) if now_s == 2 else None)
    assert watching.ended(name) == []
    assert watching.now_s == 2.0
    assert not remote.Run.get(name).done()


def test_several_runs_are_watched_at_once(flyte_local: LocalHarness) -> None:
    names = [killed(name) for name in ("gone", "alive", "gone-too")]
    watching = Watching(lambda now_s: beat("alive", now_s))
    assert watching.ended(*names) == ["gone", "gone-too"]
    assert watching.now_s == LOCAL_WATCH.ttl_s


def test_a_pause_of_the_watcher_is_no_silence_of_the_run(flyte_local: LocalHarness) -> None:
    name = killed("alive")
    watching = Watching()
    pauses = iter([3600.0])

    def suspended(now_s: int) -> None:
        watching.now_s += next(pauses, 0.0)
        if now_s > 3600:
            beat(name, now_s)

    watching.owners = (suspended,)
    assert watching.ended(name) == []


def test_a_run_whose_end_comes_while_it_is_watched_is_left_as_it_ended(
    flyte_local: LocalHarness,
) -> None:
    name = killed("ending")

    def ends(now_s: int) -> None:
        if now_s == 3:
            HostDesk(desk_tools("heir")).end_abandoned(name, "by somebody else")

    assert Watching(ends).ended(name) == []
    with pytest.raises(errors.ActionAbortedError, match="by somebody else"):
        remote.Run.get(name).raise_for_status()
