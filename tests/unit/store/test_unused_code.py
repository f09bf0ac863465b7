"""Code stays while a run may need it, and goes then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import EventKind
from flyte_ray.store.ledger import open_book
from flyte_ray.store.retention import plan_removal, remove
from flyte_ray.store.unused_code import mark_code, sweep_code, unmark_code
from tests.unit.store.books import row
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_retention import (
    ALL,
    LONG_AGO,
    PATIENT_S,
    begun,
    damaged,
    ended,
    left_of,
    swept,
)


def test_code_goes_a_day_after_its_last_run_unless_one_uses_it_again() -> None:
    blobs = DictBlobs()
    for digest in ("x", "y"):
        blobs.put(f"code/{digest}.zip", b"code")
        ended(blobs, f"run-{digest}", code=CodeSpec(bundle_key=f"code/{digest}.zip"))
    swept(blobs)
    assert "code/x.zip" in blobs.objects
    ended(blobs, "again", code=CodeSpec(bundle_key="code/y.zip"))
    assert sweep_code(blobs, now_us=0) == []
    assert sweep_code(blobs, now_us=LONG_AGO) == ["code/x.zip"]
    assert ("code/x.zip" in blobs.objects, "code/y.zip" in blobs.objects) == (False, True)
    assert sweep_code(blobs, now_us=LONG_AGO) == []
    mark_code(blobs, [])


def test_marks_that_another_sweep_takes_meanwhile_are_passed_over() -> None:
    blobs = DictBlobs()
    for digest in ("x", "y"):
        blobs.put(f"code/{digest}.zip", b"code")
    mark_code(blobs, ["code/x.zip", "code/y.zip"])

    def take(operation: str, key: str) -> None:
        if operation == "get" and key.endswith("x.zip.json"):
            blobs.objects.pop(key, None)

    blobs.before = take
    assert sweep_code(blobs, now_us=LONG_AGO) == ["code/y.zip"]


def test_a_task_that_travelled_by_value_goes_with_its_last_run() -> None:
    blobs = DictBlobs()
    blobs.put("code/x.pkl", b"task")
    address = TaskAddress(name="env.main", blob_key="code/x.pkl")
    ended(blobs, "old", address=address)
    ended(blobs, "kept", address=address, labels={"keep": "yes"})
    swept(blobs)
    assert sweep_code(blobs, now_us=LONG_AGO) == []
    ended(blobs, "last", address=address)
    blobs.delete(left_of(blobs, "kept"))
    swept(blobs)
    assert sweep_code(blobs, now_us=LONG_AGO) == ["code/x.pkl"]


def test_code_that_the_book_of_a_run_names_stays() -> None:
    blobs = DictBlobs()
    key = f"code/{'a' * 64}.pkl"
    ended(blobs, "old", address=TaskAddress(name="env.main", blob_key=key))
    book = begun(blobs, "kept", labels={"keep": "yes"})
    attrs = {"address": {"name": "env.step", "blob_key": key}}
    book.append([row(EventKind.SUBMITTED, attrs=attrs)]).result(PATIENT_S)
    book.close()
    plan = plan_removal(blobs, ALL)
    assert (plan.removed, plan.code) == (("old",), frozenset())


def test_code_that_a_run_is_about_to_use_stays() -> None:
    """It ships its code after the sweep has looked at all runs, before it has a description."""
    blobs = DictBlobs()
    blobs.put("code/x.zip", b"code")
    mark_code(blobs, ["code/x.zip"])

    def ship(operation: str, key: str) -> None:
        if (operation, key) == ("list", "runs"):
            unmark_code(blobs, "code/x.zip")

    blobs.before = ship
    assert sweep_code(blobs, now_us=LONG_AGO) == []
    assert blobs.exists("code/x.zip")


@pytest.mark.parametrize("moment", ["exists", "delete"])
def test_code_that_is_sent_while_it_is_being_removed_is_there_afterwards(moment: str) -> None:
    """A sender that finds it there writes nothing; one that does not know writes it again."""
    blobs = DictBlobs()
    blobs.put("code/x.zip", b"code")
    mark_code(blobs, ["code/x.zip"])
    [mark] = [key for key in blobs.objects if key.endswith("/x.zip.json")]

    def use(operation: str, key: str) -> None:
        if (operation, key) == (moment, mark if moment == "exists" else "code/x.zip"):
            blobs.objects.pop(mark, None)

    blobs.before = use
    assert sweep_code(blobs, now_us=LONG_AGO) == []
    assert blobs.get("code/x.zip") == b"code"


def test_code_of_a_run_that_starts_while_a_removal_is_planned_is_not_marked() -> None:
    blobs = DictBlobs()
    ended(blobs, "old", code=CodeSpec(bundle_key="code/x.zip"))
    begun(blobs, "stays", labels={"keep": "yes"}).close()
    blobs.put("code/x.zip", b"code")

    def start(operation: str, key: str) -> None:
        if operation == "get" and key.startswith("runs/stays/") and not blobs.exists("code/y.zip"):
            unmark_code(blobs, "code/y.zip")
            blobs.put("code/y.zip", b"code")
            begun(blobs, "new", code=CodeSpec(bundle_key="code/y.zip")).close()

    blobs.before = start
    assert plan_removal(blobs, ALL).code == {"code/x.zip"}
    assert blobs.exists("code/y.zip")


def test_the_day_of_code_begins_when_its_last_run_goes() -> None:
    blobs = DictBlobs()
    blobs.put("code/x.zip", b"code")
    mark_code(blobs, ["code/x.zip"])
    [mark] = [key for key in blobs.objects if key.endswith("/x.zip.json")]
    blobs.put(mark, json.dumps({"key": "code/x.zip", "at_us": 0}).encode())
    mark_code(blobs, ["code/x.zip"])
    assert json.loads(blobs.get(mark))["at_us"] == 0, "its day passes"
    ended(blobs, "old", code=CodeSpec(bundle_key="code/x.zip"))
    swept(blobs)
    assert json.loads(blobs.get(mark))["at_us"] > 0
    assert blobs.exists("code/x.zip")


def test_a_damaged_mark_is_made_anew() -> None:
    blobs = DictBlobs()
    for digest in ("x", "y"):
        blobs.put(f"code/{digest}.zip", b"code")
    mark_code(blobs, ["code/x.zip", "code/y.zip"])
    [mark] = [key for key in blobs.objects if key.endswith("/x.zip.json")]
    for harm in (b"{half", b"[]", b"{}"):
        blobs.objects[mark] = harm
        assert "code/x.zip" not in sweep_code(blobs, now_us=LONG_AGO)
    assert sweep_code(blobs, now_us=LONG_AGO) == ["code/x.zip"]


def sent(blobs: DictBlobs, name: str, digest: str, **spec: Any) -> str:
    """A run whose book names a task that was sent by value; its key."""
    key = f"code/{digest * 64}.pkl"
    blobs.put(key, b"task")
    book = begun(blobs, name, **spec)
    book.append([row(EventKind.SUBMITTED, "c1", attrs={"blob_key": key})]).result(PATIENT_S)
    book.finish("succeeded", {})
    return key


def days_pass(blobs: DictBlobs) -> None:
    for key in [key for key in blobs.objects if key.startswith("removal/code/")]:
        blobs.objects[key] = json.dumps({**json.loads(blobs.objects[key]), "at_us": 0}).encode()


def test_a_child_that_was_sent_by_value_goes_a_day_after_its_last_run() -> None:
    blobs = DictBlobs()
    only, shared = sent(blobs, "old", "a"), sent(blobs, "older", "b")
    assert sent(blobs, "kept", "b", labels={"keep": "yes"}) == shared
    assert swept(blobs) == ["old", "older"]
    assert swept(blobs) == []
    assert blobs.exists(only), "not before a day has passed"
    days_pass(blobs)
    assert swept(blobs) == []
    assert (blobs.exists(only), blobs.exists(shared)) == (False, True)


def test_days_pass_for_a_mark_however_often_the_store_is_swept() -> None:
    blobs = DictBlobs()
    sent(blobs, "old", "a")
    swept(blobs)
    [mark] = [key for key in blobs.objects if key.startswith("removal/code/")]
    before = blobs.objects[mark]
    ended(blobs, "next")
    swept(blobs)
    assert blobs.objects[mark] == before


def test_a_child_that_a_run_has_sent_since_it_was_marked_stays() -> None:
    blobs = DictBlobs()
    key = sent(blobs, "old", "a")
    swept(blobs)
    sent(blobs, "again", "a", labels={"keep": "yes"})  # without taking the mark away
    days_pass(blobs)
    swept(blobs)
    assert blobs.exists(key)
    assert not blobs.list("removal/code"), "it is in use"


def test_no_code_goes_while_a_book_cannot_be_read() -> None:
    blobs = DictBlobs()
    key = sent(blobs, "old", "a")
    swept(blobs)
    begun(blobs, "open").close()
    damaged(blobs, "open")
    days_pass(blobs)
    swept(blobs)
    assert blobs.exists(key)


def test_no_code_goes_with_a_run_that_came_back_to_life() -> None:
    blobs = DictBlobs()
    key = sent(blobs, "old", "a")
    mark_code(blobs, [key])
    days_pass(blobs)
    plan = plan_removal(blobs, ALL)
    open_book(blobs, RunName("old"), "next")[0].close()
    assert [each.spared != "" for each in remove(blobs, plan)] == [True]
    assert blobs.exists(key)
