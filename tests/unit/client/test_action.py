"""Runs and actions as their readers find them: `flyte_ray.remote`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flyte_ray import remote
from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.client.run import Run
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase
from flyte_ray.errors import (
    ActionNotFoundError,
    RemoteTaskNotFoundError,
    RemoteTaskUsageError,
    RunNotFoundError,
    UsageError,
)
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

env = TaskEnvironment(name="found")


@env.task
async def step(x: int) -> int:
    print(f"working on {x}")
    if x < 0:
        raise ValueError("negative")
    return x + 1


@env.task
async def main(x: int) -> int:
    try:
        await step(-1)
    except ValueError:
        pass
    return await step(x)


@env.task
async def by_name(x: int) -> int:
    found = remote.Task.get("found.step", auto_version="latest")
    return int(await found(x=x))


@pytest.fixture
def run(flyte_local: LocalHarness) -> Run:
    return flyte_local.run(main, x=1)


def test_actions_are_listed_parents_first_and_filtered(run: Run) -> None:
    everything = list(remote.Action.listall(run.name))
    assert [action.task_name for action in everything] == ["found.main", "found.step", "found.step"]
    assert everything[0].name == ROOT_ACTION
    failed = list(remote.Action.listall(run.name, in_phase=(ActionPhase.FAILED,)))
    assert [action.phase for action in failed] == [ActionPhase.FAILED]
    assert len(list(remote.Action.listall(run.name, parent_name=ROOT_ACTION))) == 2
    late = remote.TimeFilter(after=datetime.now(UTC) + timedelta(hours=1))
    assert list(remote.Action.listall(run.name, created_at=late)) == []
    assert [action.name for action in asyncio.run(remote.Action.listall.aio(run.name))]


def test_an_action_is_found_by_names_or_by_path(run: Run) -> None:
    one = remote.Action.get(run_name=run.name, name=ROOT_ACTION)
    other = remote.Action.get(f"{run.name}/{ROOT_ACTION}")
    assert one.action_id == other.action_id == run.action.action_id
    assert one.done()
    assert one.start_time is not None
    with pytest.raises(ActionNotFoundError):
        remote.Action.get(run_name=run.name, name="nobody")
    with pytest.raises(RunNotFoundError):
        remote.Action.get(run_name="nothing")


def details(run: Run, phase: ActionPhase) -> remote.ActionDetails:
    (action, *_) = [
        each
        for each in remote.Action.listall(run.name, in_phase=phase)
        if each.task_name == "found.step"
    ]
    return asyncio.run(action.details())


def test_details_say_what_went_in_and_came_out(run: Run) -> None:
    found = details(run, ActionPhase.SUCCEEDED)
    assert dict(asyncio.run(found.inputs())) == {"x": 1}
    assert tuple(asyncio.run(found.outputs())) == (2,)
    assert (found.attempts, found.parent_name, found.is_running) == (1, ROOT_ACTION, False)
    assert found.logs_available()
    phases = [stretch.phase for stretch in found.get_phase_transitions()]
    assert phases == [ActionPhase.QUEUED, ActionPhase.RUNNING, ActionPhase.SUCCEEDED]
    assert found.runtime is not None
    assert found.runtime >= timedelta(0)


def test_details_of_a_failure_say_why(run: Run) -> None:
    found = details(run, ActionPhase.FAILED)
    assert found.error_message == "negative"
    assert found.error_info is not None
    assert found.error_info.code == "ValueError"
    with pytest.raises(RuntimeError, match=r"no outputs \(failed\)"):
        asyncio.run(found.outputs())


def test_details_can_be_had_directly(run: Run) -> None:
    found = remote.ActionDetails.get(run_name=run.name, name=ROOT_ACTION)
    assert found.phase is ActionPhase.SUCCEEDED
    assert found.abort_info is None


def test_an_actions_output_is_read_line_by_line(run: Run) -> None:
    (action,) = remote.Action.listall(run.name, in_phase="failed")
    assert list(action.get_logs()) == ["working on -1"]


def test_waiting_for_what_has_ended_ends_at_once(run: Run) -> None:
    asyncio.run(asyncio.wait_for(run.action.wait(), 20))


def test_only_the_root_can_be_aborted_by_itself(run: Run) -> None:
    (action,) = remote.Action.listall(run.name, in_phase="failed")
    with pytest.raises(UsageError, match=f"flyte-ray abort {run.name}"):
        action.abort()


def test_runs_are_listed_newest_first_and_filtered(flyte_local: LocalHarness) -> None:
    first = flyte_local.run_with({"labels": {"team": "a"}}, step, x=1)
    second = flyte_local.run_with({"labels": {"team": "b"}}, step, x=-1)

    def names(**filters: Any) -> list[str]:
        return [found.name for found in remote.Run.listall(**filters)]

    assert set(names()) == {first.name, second.name}
    assert len(names(limit=1)) == 1
    assert names(in_phase="failed") == [second.name]
    assert names(in_phase=(ActionPhase.SUCCEEDED,)) == [first.name]
    assert names(with_labels={"team": "b"}) == [second.name]
    assert set(names(with_label_keys=["team"])) == {first.name, second.name}
    assert names(task_name="found.other") == []
    assert names(created_at=remote.TimeFilter(before=datetime(2020, 1, 1, tzinfo=UTC))) == []
    assert set(names(project="any", domain="any", sort_by=("created_at", "desc"))) == set(names())
    with pytest.raises(TypeError):
        names(colour="green")
    with pytest.raises(ValueError, match="sleeping"):
        names(in_phase="sleeping")


def test_a_run_is_found_by_name_in_both_forms(run: Run) -> None:
    assert remote.Run.get(run.name).outputs()[0] == 2
    assert asyncio.run(remote.Run.get.aio(run.name)).name == run.name
    assert isinstance(run.details(), remote.RunDetails)


def test_a_loaded_task_is_found_by_name(flyte_local: LocalHarness) -> None:
    assert flyte_local.run(by_name, x=4).outputs()[0] == 5
    found = remote.Task.get("found.step", version="1").override(retries=3)
    assert found.fetch().retries.count == 3
    assert "found.step" in [each.name for each in remote.Task.listall()]


def test_a_task_that_is_not_loaded_says_so_when_it_is_used() -> None:
    lazy = remote.Task.get("other.step", auto_version="latest")
    with pytest.raises(RemoteTaskNotFoundError, match=r"other\.step.*Import the module"):
        lazy.fetch()
    with pytest.raises(ValueError, match="version"):
        remote.Task.get("other.step")


def test_a_task_by_name_is_called_inside_tasks_by_keywords() -> None:
    lazy = remote.Task.get("found.step", auto_version="latest")
    with pytest.raises(RemoteTaskUsageError, match="inside a task"):
        asyncio.run(lazy(x=1))
    with pytest.raises(RemoteTaskUsageError, match="keyword"):
        asyncio.run(lazy(1))


def test_files_and_folders_go_ahead_into_the_store(
    flyte_local: LocalHarness, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    file = folder / "deep" / "a.txt"
    file.write_text("content")
    digest, url = remote.upload_file(file)
    assert digest == "9a0364b9e99bb480dd25e1f0284c8555"
    assert url.startswith(str(flyte_local.store))
    assert Path(url).read_text() == "content"
    assert remote.upload_file(file) == (digest, url)
    there = asyncio.run(remote.upload_dir.aio(folder))
    assert (Path(there) / "deep" / "a.txt").read_text() == "content"
    with pytest.raises(FileNotFoundError):
        remote.upload_file(folder)
    with pytest.raises(FileNotFoundError):
        remote.upload_dir(file)
