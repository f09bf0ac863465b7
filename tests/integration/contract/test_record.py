"""What the store holds of a run, and that both engines name the same work alike (item 5)."""

from __future__ import annotations

import json
import os

from flyte_ray.core.model import ActionPhase
from tests.integration.contract.conftest import Stores
from tests.integration.contract.house import House, only
from tests.integration.contract.tasks import program


def test_each_action_is_described_in_full(house: House) -> None:
    run = house.finish(program.program, 3)
    run.raise_for_status()
    catalog = house.catalog()
    actions = catalog.actions(run.name)
    root = actions["a0"]
    assert root.parent_id is None
    assert (root.task, root.name) == ("contract_program.program", "program")
    tasks = [a for a in actions.values() if a.kind == "task"]
    assert len(tasks) == 1 + 2 + 6 + 3 + 2 + 1
    for action in tasks:
        assert action.parent_id is None or action.parent_id in actions
        assert action.inputs is not None
        assert action.identity
        assert action.attempts, action
        assert action.submitted_us and action.started_us and action.ended_us
        assert run.spec.started_us <= action.submitted_us <= action.ended_us
        for attempt in action.attempts:
            assert attempt.started_us and attempt.ended_us
            assert attempt.started_us <= attempt.ended_us
            assert attempt.node and attempt.worker and attempt.pid
            assert (attempt.pid == os.getpid()) is (house.mode == "local")
        assert (action.outputs is None) is (action.phase is ActionPhase.FAILED)
    failed = only(run, "fails")
    assert [a.logs for a in failed.attempts] == ["about to fail on purpose\n"] * 2
    error = json.loads(failed.error or "")
    assert (error["code"], error["kind"], error["message"]) == ("ValueError", "user", "on purpose")
    assert "raise ValueError(word)" in error["traceback"]
    traces = [a for a in actions.values() if a.kind == "trace"]
    assert [(a.task, a.parent_id, a.phase) for a in traces] == [
        ("noted", "a0", ActionPhase.SUCCEEDED)
    ] * 2
    words = [a for a in tasks if a.group == "words"]
    assert len(words) == 3
    assert {a.group for a in tasks if a.task.endswith("shout")} == {
        "words",
        "contract_program.shout_map",
    }


def test_the_record_of_the_run_itself(house: House) -> None:
    runner = house.runner(labels={"kind": "contract"}, annotations={"note": "n"})
    run = runner.run(program.inner, 1)
    run.wait(quiet=True)
    record = house.catalog().run(run.name)
    spec = record.spec
    assert record.phase is ActionPhase.SUCCEEDED
    assert record.ended_us and record.ended_us >= record.started_us
    assert record.counts["succeeded"] == 4
    assert (spec.task, spec.mode) == ("contract_program.inner", house.mode)
    assert (spec.labels, spec.annotations) == ({"kind": "contract"}, {"note": "n"})
    assert spec.code.bundle_key and spec.code.digest
    assert spec.versions["python"] and spec.host and spec.task_identity
    assert house.catalog().runs(labels={"kind": "contract"})[0].name == run.name


def test_printing_and_logging_of_attempts_that_run_side_by_side(house: House) -> None:
    run = house.finish(program.talk)
    assert run.outputs()[0] == ["leftleft", "rightright", "100000"]
    said = {}
    for action in run.actions():
        if action.task.endswith(".speaks"):
            said[action.inputs_json] = house.catalog().log_text(run.name, action.action_id)
    assert len(said) == 2
    for word, other in (("left", "right"), ("right", "left")):
        (text,) = [t for inputs, t in said.items() if f'"{word}' in str(inputs) or word in inputs]
        assert f"printed {word}\n" in text
        assert f"to stderr {word}\n" in text
        assert f"logged {word}" in text
        assert f"logged by flyte {word}" in text
        assert other not in text
    long = only(run, "speaks_at_length")
    assert long.attempts[0].logs_key
    assert list(run.get_logs(action=long.action_id))[-1] == "line 1999"


def test_large_values_are_objects_and_small_ones_lie_inline(house: House) -> None:
    run = house.finish(program.talk)
    large = only(run, "large").outputs
    assert large is not None
    (value,) = large.values.values()
    assert value.key and (house.store / value.key).is_file()
    small = only(run, "size_of")
    assert small.outputs is not None and small.inputs is not None
    assert [v.key for v in small.outputs.values.values()] == [None]
    assert [v.digest for v in small.inputs.values.values()] == [value.digest]


def test_a_result_is_stored_before_the_parent_goes_on(house: House, marks: str) -> None:
    run = house.start(program.looks_up_its_child, str(house.store), marks)
    run.wait(quiet=True)
    assert run.outputs()[0] == ["succeeded"]


def test_both_engines_name_the_same_work_alike(cluster: None, stores: Stores) -> None:
    named = {}
    for mode in ("local", "remote"):
        house = House(mode, stores(mode))
        house.enter()
        run = house.finish(program.program, 3)
        named[mode] = {
            a.action_id: (a.task, a.kind, a.identity, a.parent_id, a.scope, a.group, a.phase)
            for a in run.actions()
        }
        outputs = {a.action_id: a.outputs_json for a in run.actions()}
        named[mode, "outputs"] = outputs
    assert named["local"] == named["remote"]
    assert named["local", "outputs"] == named["remote", "outputs"]
    assert len(named["local"]) == 17
