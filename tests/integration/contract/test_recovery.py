"""Running a run again: as it was, with other inputs, or from where it failed (item 7, §7)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flyte_ray import errors
from flyte_ray.client.run import Run
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, only, phases
from tests.integration.contract.tasks import recovering
from tests.integration.contract.tasks.marks import count


def _marks(folder: str) -> Counter[str]:
    return Counter(path.name.partition("~")[0] for path in Path(folder).glob("*~*"))


def _failed(house: House, marks: str, **kwargs: object) -> Run:
    run = house.finish(recovering.pipeline, marks, n=5, **kwargs)
    assert run.phase is ActionPhase.FAILED
    return run


def _fix(marks: str) -> None:
    (Path(marks) / "fixed").touch()


def test_recovery_runs_only_what_had_not_succeeded(house: House, marks: str) -> None:
    run = _failed(house, marks)
    before = _marks(marks)
    assert before["helper"] == 4 and before["item-3"] == 1
    _fix(marks)
    again = house.rerun(run, recover=True)
    assert again.outputs()[0] == 100
    assert _marks(marks) - before == {
        "pipeline": 1,
        "stage": 1,
        "item-3": 1,
        "helper": 1,
    }
    record = house.catalog().run(again.name)
    assert record.spec.source_run == run.name
    assert record.spec.relation == "recover"
    assert record.counts["recovered"] == 1 + 1 + 4
    assert phases(again) == {ActionPhase.RECOVERED: 7, ActionPhase.SUCCEEDED: 4}
    (noted,) = [a for a in again.actions() if a.kind == "trace"]
    assert noted.phase is ActionPhase.RECOVERED
    adopted = only(again, "prepare")
    source = only(run, "prepare")
    assert adopted.action_id == source.action_id
    assert adopted.outputs_json == source.outputs_json
    assert adopted.attrs["recovered_from"] == f"{run.name}/{source.action_id}"
    assert again.inputs() == run.inputs()


def test_a_recovery_of_a_recovery_adopts_all_the_way(house: House, marks: str) -> None:
    first = _failed(house, marks)
    second = house.rerun(first, recover=True)
    assert second.phase is ActionPhase.FAILED
    _fix(marks)
    before = _marks(marks)
    third = house.rerun(second, recover=True)
    assert third.outputs()[0] == 100
    assert _marks(marks) - before == {"pipeline": 1, "stage": 1, "item-3": 1, "helper": 1}
    assert house.catalog().run(third.name).spec.source_run == second.name


def test_recovering_a_success_runs_nothing_below_the_root(house: House, marks: str) -> None:
    _fix(marks)
    run = house.finish(recovering.pipeline, marks, n=5)
    before = _marks(marks)
    again = house.rerun(run, recover=True)
    assert again.outputs()[0] == 100
    assert _marks(marks) - before == {"pipeline": 1}
    assert phases(again) == {ActionPhase.SUCCEEDED: 1, ActionPhase.RECOVERED: 3}


def test_a_plain_rerun_does_everything_again(house: House, marks: str) -> None:
    _fix(marks)
    run = house.finish(recovering.pipeline, marks, n=4, note="first")
    before = _marks(marks)
    again = house.rerun(run)
    assert again.outputs()[0] == 60
    assert _marks(marks) - before == before
    assert house.catalog().run(again.name).spec.relation == "rerun"
    changed = house.rerun(run, n=2)
    assert changed.outputs()[0] == 10
    assert changed.inputs() == {"folder": marks, "n": 2, "note": "first"}
    with pytest.raises(ValueError, match=r"no input m;"):
        house.rerun(run, m=2)


def test_one_action_can_be_run_by_itself(house: House, marks: str) -> None:
    run = _failed(house, marks)
    _fix(marks)
    broken = run.first_failure()
    assert broken is not None and broken.task_name.endswith(".item")
    before = _marks(marks)
    alone = house.rerun(run, action_name=broken.name)
    assert alone.outputs()[0] == 30
    assert alone.inputs() == {"folder": marks, "number": 3}
    assert _marks(marks) - before == {"item-3": 1, "helper": 1}
    with pytest.raises(ValueError, match="recover"):
        house.rerun(run, action_name=broken.name, recover=True)
    (noted,) = [a for a in run.actions() if a.kind == "trace"]
    with pytest.raises(ValueError, match="trace"):
        house.rerun(run, action_name=noted.action_id)
    with pytest.raises(errors.ActionNotFoundError):
        house.rerun(run, action_name="nowhere")


def test_forced_actions_run_again_and_their_children_are_adopted(house: House, marks: str) -> None:
    run = _failed(house, marks)
    (two,) = [a for a in run.actions() if a.task.endswith(".item") and '"inline":"2"' in _in(a)]
    before = _marks(marks)
    _fix(marks)
    again = house.rerun(run, recover=True, force_rerun_actions=[two.action_id, "unknown"])
    assert again.outputs()[0] == 100
    assert _marks(marks) - before == {
        "pipeline": 1,
        "stage": 1,
        "item-2": 1,
        "item-3": 1,
        "helper": 1,
    }
    with pytest.raises(ValueError, match="recover"):
        house.rerun(run, force_rerun_actions=["a0"])


def _in(action: object) -> str:
    return str(getattr(action, "inputs_json", "")).replace(" ", "")


def test_recovery_with_changed_inputs_keeps_what_is_not_touched(house: House, marks: str) -> None:
    run = _failed(house, marks)
    _fix(marks)
    before = _marks(marks)
    again = house.rerun(run, recover=True, note="changed")
    assert again.outputs()[0] == 100
    assert count(marks, "prepare") == before["prepare"]
    assert again.inputs()["note"] == "changed"


def test_settings_of_the_source_run_are_kept_and_added_to(house: House, marks: str) -> None:
    _fix(marks)
    run = house.runner(labels={"a": "1"}, custom_context={"c": "1"}).run(
        recovering.pipeline, marks, n=1
    )
    run.wait(quiet=True)
    again = house.runner(labels={"b": "2"}).rerun(run.name)
    again.wait(quiet=True)
    spec = house.catalog().spec(again.name)
    assert spec.labels == {"a": "1", "b": "2"}
    assert spec.custom_context == {"c": "1"}


def test_an_unknown_source_run_is_named_with_its_neighbour(house: House, marks: str) -> None:
    _fix(marks)
    run = house.runner(name=f"known-{Path(marks).name}").run(recovering.pipeline, marks, n=1)
    run.wait(quiet=True)
    with pytest.raises(errors.RunNotFoundError, match=run.name):
        house.runner().rerun(run.name[:-1])
