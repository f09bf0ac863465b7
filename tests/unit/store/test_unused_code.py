"""Code stays while a run may need it, and goes then."""

from __future__ import annotations

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.model import EventKind
from flyte_ray.store.retention import plan_removal
from flyte_ray.store.unused_code import mark_code, sweep_code, unmark_code
from tests.unit.store.books import row
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_retention import ALL, LONG_AGO, PATIENT_S, begun, ended, left_of, swept


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
