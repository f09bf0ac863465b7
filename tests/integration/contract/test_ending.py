"""Abort and cancellation end everything below (item 8)."""

from __future__ import annotations

import pytest

from flyte_ray import errors
from flyte_ray.core.model import ActionPhase
from tests.integration.contract.house import House, ended, only, phases
from tests.integration.contract.tasks import slow
from tests.integration.contract.tasks.marks import count, wait_for


def test_abort_ends_the_whole_subtree(house: House, marks: str) -> None:
    run = house.start(slow.tree, marks)
    wait_for(marks, "begun-leaf")
    wait_for(marks, "begun-plain")
    assert not run.done()
    assert run.phase is ActionPhase.RUNNING
    run.abort(reason="enough seen")
    ended(run)
    assert run.phase is ActionPhase.ABORTED
    with pytest.raises(errors.ActionAbortedError, match="enough seen"):
        run.raise_for_status()
    with pytest.raises(RuntimeError, match="aborted"):
        run.outputs()
    assert phases(run) == {ActionPhase.ABORTED: 4}
    wait_for(marks, "cancelled-leaf")
    wait_for(marks, "cancelled-plain")
    run.abort(reason="once more")
    assert run.phase is ActionPhase.ABORTED


def test_cancelling_an_asyncio_task_cancels_the_child(house: House, marks: str) -> None:
    run = house.finish(slow.cancels_a_child, marks)
    run.raise_for_status()
    assert run.outputs()[0] == ["CancelledError", "CancelledError", "CancelledError", "late"]
    assert count(marks, "cancelled-child") == 1
    assert count(marks, "cancelled-plain") == 1
    assert count(marks, "begun-never") == 0
    left = [a.phase for a in run.actions() if a.task != "contract_slow.cancels_a_child"]
    assert set(left) == {ActionPhase.ABORTED}
    assert only(run, "cancels_a_child").phase is ActionPhase.SUCCEEDED


def test_children_do_not_outlive_their_parent(house: House, marks: str) -> None:
    run = house.finish(slow.leaves_children_behind, marks)
    assert run.outputs()[0] == "done before it"
    wait_for(marks, "cancelled-left")
    assert only(run, "waits").phase is ActionPhase.ABORTED


def test_a_failing_member_of_a_task_group_ends_the_others(house: House, marks: str) -> None:
    assert house.result(slow.one_fails_in_a_group, marks) == "1 one failed"
    assert count(marks, "cancelled-sibling") == 1
