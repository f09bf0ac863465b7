"""The handle of a run is the same in every mode (item 2, §6)."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray import errors
from flyte_ray.client.run import Run
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, ended
from tests.integration.contract.tasks import calls, failing, mapping, program, recovering, slow
from tests.integration.contract.tasks.marks import wait_for


def test_a_run_that_succeeded(house: House) -> None:
    run = house.finish(calls.defaults, 1, c="z")
    assert run.name and run.name in run.url and str(house.store) in run.url
    assert run.phase is ActionPhase.SUCCEEDED
    assert run.phase == "succeeded" and run.phase.is_terminal
    assert run.done()
    run.raise_for_status()
    assert run.outputs() == ("1 2 z None",)
    assert run.outputs().o0 == run.outputs().named_outputs["o0"] == "1 2 z None"
    assert run.inputs() == {"a": 1, "b": 2, "c": "z", "d": None}
    assert run.details().phase is ActionPhase.SUCCEEDED
    assert run.first_failure() is None
    described = json.loads(run.to_json())
    assert described["name"] == run.name and described["phase"] == "succeeded"
    assert described["ended_us"] >= described["started_us"]
    assert run.name in repr(run)
    assert run.wait(quiet=True) is None


def test_a_run_that_is_underway(house: House, marks: str) -> None:
    run = house.start(slow.waits, marks, "root")
    wait_for(marks, "begun-root")
    run.wait(quiet=True, wait_for="running")
    assert not run.done()
    assert run.phase is ActionPhase.RUNNING
    with pytest.raises(errors.RuntimeUserError) as caught:
        run.raise_for_status()
    assert caught.value.code == "RunNotDoneError"
    seen = Run.get(run.name)
    assert not seen.done()
    assert run.name in [each.name for each in Run.listall(limit=5)]
    seen.abort(reason="seen enough")
    ended(run)
    assert run.phase is ActionPhase.ABORTED
    ended(seen)
    assert seen.phase is ActionPhase.ABORTED


def test_a_run_that_failed(house: House, marks: str) -> None:
    run = house.finish(failing.never_lucky, marks)
    assert run.phase is ActionPhase.FAILED
    with pytest.raises(RuntimeError, match=r"no outputs.*KeyError") as caught:
        run.outputs()
    assert isinstance(caught.value.__cause__, KeyError), "says where it was raised"
    with pytest.raises(KeyError):
        run.raise_for_status()
    broken = house.finish(recovering.pipeline, marks, n=4)
    first = broken.first_failure()
    assert first is not None
    assert first.task_name == "contract_recovering.item", "a child rather than the root"


def test_what_a_run_returned_can_be_read_as_other_types(house: House) -> None:
    run = house.finish(calls.double, 4)
    assert run.typed_outputs({"o0": float}) == {"o0": 8.0}
    assert run.typed_inputs({"x": str}, deserializers={str: "{}!".format}) == {"x": "4!"}
    assert run.raw_phase is run.phase and run.sync() is run and run.get_debug_url() is None

    async def phases() -> list[ActionPhase]:
        return [details.phase async for details in run.watch()]

    assert asyncio.run(phases()) == [ActionPhase.SUCCEEDED]


def test_the_code_of_a_run_can_be_fetched(house: House, tmp_path: Path) -> None:
    run = house.finish(calls.double, 4)
    code = run.code_bundle()
    assert code is not None and code == run.spec.code
    folder = run.download_code(tmp_path / "code")
    assert list(folder.rglob("calls.py"))
    archive = run.download_code(tmp_path / "packed", extract=False)
    assert archive.suffix == ".zip" and archive.stat().st_size > 0
    bare = ended(house.runner(copy_style="none", version="1").run(calls.double, 4))
    assert bare.code_bundle() is None
    with pytest.raises(errors.CodeBundleError, match="shipped no code"):
        bare.download_code(tmp_path / "none")


def test_a_run_of_another_day(house: House) -> None:
    run = house.finish(program.talk)
    house.enter()
    again = Run.get(run.name)
    assert again.done() and again.phase is ActionPhase.SUCCEEDED
    assert again.outputs() == run.outputs()
    assert again.inputs() == run.inputs()
    assert [a.action_id for a in again.actions()] == [a.action_id for a in run.actions()]
    found = list(Run.listall(task="contract_program.talk", limit=1))
    assert [each.name for each in found] == [run.name]
    assert found[0].phase is ActionPhase.SUCCEEDED


def test_every_blocking_member_has_an_awaitable_twin(house: House) -> None:
    async def use() -> list[object]:
        run = await house.runner().run.aio(calls.double, 4)
        await run.wait.aio(quiet=True)
        await run.raise_for_status.aio()
        again = await house.runner().rerun.aio(run.name)
        await again.wait.aio(quiet=True)
        return [await run.outputs.aio(), await run.inputs.aio(), await again.outputs.aio()]

    assert asyncio.run(use()) == [(8,), {"x": 4}, (8,)]


def test_many_runs_at_once(house: House) -> None:
    runs = [house.start(calls.triple, number) for number in range(5)]
    assert [ended(run).outputs()[0] for run in runs] == [0, 3, 6, 9, 12]


def test_a_name_is_taken_once(house: House, marks: str) -> None:
    name = f"mine-{Path(marks).name}"
    run = ended(house.runner(name=name).run(calls.double, 1))
    assert run.name == name
    with pytest.raises(errors.RunExistsError, match=name) as caught:
        house.runner(name=name).run(calls.double, 1)
    assert caught.value.code == "RunAlreadyExistsError"


def test_a_run_inside_a_task_is_a_run_of_its_own(house: House) -> None:
    for task in (calls.starts_a_run, calls.starts_a_run_async):
        run = house.finish(task, str(house.store), house.mode)
        run.raise_for_status()
        name, output = run.outputs()[0]
        assert output == "14"
        spawned = house.catalog().spec(name)
        assert (spawned.source_run, spawned.relation) == (run.name, "spawn")


def test_runs_can_be_started_where_a_loop_runs(house: House) -> None:
    async def main() -> object:
        run = house.start(calls.nested, 2)
        run.wait(quiet=True)
        return run.outputs()[0]

    assert asyncio.run(main()) == [[4, 4, 6], [6, 4, 4, 6], []]


def test_children_in_flight_are_bounded_per_run(house: House, marks: str) -> None:
    run = house.runner(max_action_concurrency=2).run(mapping.maps_all_at_once, marks)
    assert max(ended(run).outputs()[0]) <= 2


def test_the_usual_script_works(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYTE_RAY_STORE", str(house.store))
    monkeypatch.setenv("FLYTE_RAY_MODE", house.mode)
    flyte.init_from_config()
    run = flyte.run(calls.double, x=21)
    assert run.url
    run.wait(quiet=True)
    assert run.outputs()[0] == 42
    assert os.environ["FLYTE_RAY_MODE"] == house.mode


def test_options_of_a_run_are_checked() -> None:
    for options in (
        {"mode": "hybrid"},
        {"mode": "cloud"},
        {"copy_style": "none"},
        {"max_action_concurrency": 1},
        {"max_action_concurrency": -2},
        {"env_vars": {"A": 1}},
        {"labels": {"a": 1}},
        {"copy_style": "custom"},
        {"copy_style": "everything"},
        {"cache_lookup_scope": "city"},
        {"mode": "remote", "tracked": True},
    ):
        with pytest.raises(ValueError):
            flyte.with_runcontext(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no option colour"):
        flyte.with_runcontext(colour="red")
    flyte.with_runcontext("local", service_account="x", project="p", queue="q", debug=False)


def test_a_dry_run_checks_everything_and_starts_nothing(house: House) -> None:
    name = f"dry-{house.mode}"
    dry = house.runner(dry_run=True, name=name, project="p").run(calls.defaults, 1)
    assert dry.inputs == {"a": 1, "b": 2, "c": "c", "d": None}
    assert dry.task_spec.task == "contract_calls.defaults"
    assert dry.task_spec.options["project"] == "p"
    assert dry.code_bundle == dry.task_spec.code
    with pytest.raises(errors.RunNotFoundError):
        Run.get(name)
    with pytest.raises(TypeError):
        house.runner(dry_run=True).run(calls.defaults, "one")
    done = house.finish(calls.double, 2)
    again = house.runner(dry_run=True).rerun(done.name, x=3)
    assert again.inputs == {"x": 3} and again.task_spec.source_run == done.name
