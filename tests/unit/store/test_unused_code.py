"""Code stays while a run may need it, and goes then."""

from __future__ import annotations

from flyte_ray.core.calls import CodeSpec
from flyte_ray.store.unused_code import mark_code, sweep_code
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_retention import LONG_AGO, ended, swept


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
