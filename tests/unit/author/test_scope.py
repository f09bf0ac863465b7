"""`ctx()`, groups and custom context."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

import flyte_ray as flyte
from flyte_ray.author import scope
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.errors import InitializationError
from tests.unit.author.fake_controller import in_action, run_spec


def test_outside_a_task_the_context_is_false_and_empty() -> None:
    here = flyte.ctx()
    assert not here
    assert here.action is None
    assert here.anything is None  # type: ignore[attr-defined]
    assert here["key"] is None
    assert here.is_in_cluster() is False
    assert flyte.get_custom_context() == {}


def test_inside_a_task_it_names_the_action() -> None:
    run = run_spec(
        name=RunName("r7"),
        started_us=1_700_000_000_000_000,
        options={"project": "p", "domain": "d"},
        store_url="file:///tmp/store/",
    )
    with in_action(run=run, attempt=3):
        here = flyte.ctx()
        assert here
        assert (here.action.name, here.action.run_name) == ("a0", "r7")
        assert (here.action.project, here.action.domain, here.action.org) == ("p", "d", None)
        assert here.task_action == here.action
        assert here.attempt_number == 2
        assert here.run_start_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert here.run_base_dir == "file:///tmp/store/runs/r7/files"
        assert here.raw_data_path.path == "file:///tmp/store/runs/r7/values"
        assert (here.mode, here.is_in_cluster()) == ("local", False)
        assert here.group_data is None
        assert here.checkpoint is None


def test_paths_chosen_for_the_run_win() -> None:
    with in_action(run=run_spec(run_base_dir="gs://b/base", raw_data_path="gs://b/raw")):
        assert flyte.ctx().run_base_dir == "gs://b/base"
        assert flyte.ctx().raw_data_path.path == "gs://b/raw"


def test_data_is_shared_by_all_code_of_the_attempt() -> None:
    with in_action():
        flyte.ctx().data["model"] = 1
        assert flyte.ctx()["model"] == 1
        assert flyte.ctx()["absent"] is None


def test_the_context_is_frozen_and_replaced_by_a_copy() -> None:
    with in_action():
        here = flyte.ctx()
        with pytest.raises(dataclasses.FrozenInstanceError):
            here.mode = "remote"  # type: ignore[misc]
        assert here.replace(mode="remote").is_in_cluster()
        assert not flyte.ctx().is_in_cluster()


def test_idempotency_keys_are_stable_over_attempts_and_differ_between_actions() -> None:
    with in_action(attempt=1):
        first = flyte.ctx().action.idempotency_key
    with in_action(attempt=2):
        assert flyte.ctx().action.idempotency_key == first
    with in_action(run=run_spec(name=RunName("r2"))):
        assert flyte.ctx().action.idempotency_key != first
    with in_action(action_id=ActionId("x"), scope_id=ActionId("x")):
        assert flyte.ctx().action.idempotency_key != first


def test_ranks_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with in_action():
        assert flyte.ctx().rank is None
        monkeypatch.setenv("RANK", "3")
        monkeypatch.setenv("MASTER_ADDR", "host")
        assert (flyte.ctx().rank, flyte.ctx().world_size) == (3, None)
        assert flyte.ctx().master_addr == "host"


def test_groups_nest_and_are_restored() -> None:
    with in_action():
        with flyte.group("outer"):
            with flyte.group("inner"):
                assert flyte.ctx().group_data == scope.GroupData("inner")
            assert flyte.ctx().group_data == scope.GroupData("outer")
        assert flyte.ctx().group_data is None


def test_groups_of_concurrent_tasks_do_not_mix() -> None:
    async def named(name: str) -> str:
        with flyte.group(name):
            await asyncio.sleep(0)
            group = flyte.ctx().group_data
            assert group is not None
            return group.name

    async def body() -> list[str]:
        return await asyncio.gather(named("a"), named("b"))

    with in_action():
        assert asyncio.run(body()) == ["a", "b"]


def test_blocks_do_nothing_outside_of_a_task() -> None:
    with flyte.group("g"), flyte.custom_context(a="1"):
        assert not flyte.ctx()
        assert flyte.get_custom_context() == {}


def test_custom_context_is_merged_inner_first_and_restored() -> None:
    with in_action(custom_context={"base": "0"}):
        with flyte.custom_context(a="1", b="1"):
            with flyte.custom_context(b="2"):
                assert flyte.get_custom_context() == {"base": "0", "a": "1", "b": "2"}
                assert flyte.ctx().custom_context["b"] == "2"
            assert flyte.get_custom_context()["b"] == "1"
        assert flyte.get_custom_context() == {"base": "0"}


def test_the_copy_of_the_custom_context_is_the_callers() -> None:
    with in_action(custom_context={"a": "1"}):
        flyte.get_custom_context()["a"] = "2"
        assert flyte.get_custom_context() == {"a": "1"}


def test_custom_context_holds_texts_only() -> None:
    with pytest.raises(TypeError, match="'n'"), flyte.custom_context(n=3):  # type: ignore[arg-type]
        pass


def test_project_and_domain_come_from_task_then_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYTE_PROJECT", raising=False)
    monkeypatch.setattr(scope, "_session", {})
    with pytest.raises(InitializationError, match="project"):
        flyte.current_project()
    assert not flyte.is_control_plane_available()
    scope.announce_session(project="mine", domain="dev", connected=True)
    assert (flyte.current_project(), flyte.current_domain()) == ("mine", "dev")
    assert flyte.is_control_plane_available()
    with in_action(run=run_spec(options={"project": "theirs"})):
        assert flyte.current_project() == "theirs"
        assert not flyte.is_control_plane_available()
