"""What goes, what stays, and that a removal may be cut off anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import EventKind
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.errors import RunExistsError, RunNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.cache_index import Entry, StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.ledger import BookLedger, create_book, open_book
from flyte_ray.store.parts import list_parts, put_part, read_pieces
from flyte_ray.store.retention import Wish, plan_removal, remove
from flyte_ray.store.run_file import write_heartbeat, write_run
from flyte_ray.store.summaries import merge_summaries
from flyte_ray.testing.crashes import every_crash
from tests.unit.store.books import row, run_spec
from tests.unit.store.stores import DictBlobs

LONG_AGO = 2**60  # everything ended before that
ALL = Wish(before_us=LONG_AGO)
PATIENT_S = 30


def large(run: str, name: str = "v1") -> Payload:
    key = f"runs/{run}/values/{name}.npy"
    value = EncodedValue(codec="npy", type="ndarray", digest=name, size_bytes=10**6, key=key)
    return Payload(values={"o0": value})


def begun(blobs: DictBlobs, name: str, outputs: Payload | None = None, **spec: Any) -> BookLedger:
    """A run with one large value, `v1`, unless told what its root came to."""
    book = create_book(blobs, run_spec(name, **spec), "test")
    blobs.put(f"runs/{name}/values/v1.npy", b"1")
    blobs.put(f"runs/{name}/files/a0/data.csv", b"2")
    blobs.put(f"runs/{name}/logs/a0/1.log", b"3")
    result = (outputs or large(name)).to_json()
    rows = [row(EventKind.SUBMITTED, ROOT_ACTION), row(EventKind.SUCCEEDED, ROOT_ACTION, attempt=1)]
    book.append([rows[0]]).result(PATIENT_S)
    book.append([row(EventKind.SUCCEEDED, ROOT_ACTION, attempt=1, outputs=result)]).result(
        PATIENT_S
    )
    return book


def ended(blobs: DictBlobs, name: str, outputs: Payload | None = None, **spec: Any) -> None:
    begun(blobs, name, outputs, **spec).finish("succeeded", {"succeeded": 1})
    compact_run(blobs, name)


def swept(blobs: DictBlobs, wish: Wish = ALL) -> list[str]:
    return [each.run for each in remove(blobs, plan_removal(blobs, wish)) if not each.spared]


def left_of(blobs: DictBlobs, run: str) -> list[str]:
    return sorted(key for key in blobs.objects if run in key)


def test_an_old_run_goes_with_all_that_is_its_own() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    ended(blobs, "other", labels={"keep": "true"})
    before = left_of(blobs, "other")
    assert swept(blobs) == ["old"]
    assert left_of(blobs, "old") == []
    assert left_of(blobs, "other") == before


def test_a_young_run_stays() -> None:
    blobs = DictBlobs()
    ended(blobs, "young")
    plan = plan_removal(blobs, Wish(before_us=1))
    assert (plan.removed, plan.spared) == ((), {})


def test_a_run_in_progress_stays_unless_it_was_abandoned_and_that_is_asked_for() -> None:
    blobs = DictBlobs()
    begun(blobs, "open").close()
    write_heartbeat(blobs, RunName("open"), 1, 1)
    plan = plan_removal(blobs, ALL)
    assert plan.removed == ()
    assert "--abandoned" in plan.spared["open"]
    assert plan_removal(blobs, Wish(before_us=2, abandoned=True)).removed == ()
    assert swept(blobs, Wish(before_us=LONG_AGO, abandoned=True)) == ["open"]


def test_a_kept_run_stays_unless_asked_for() -> None:
    blobs = DictBlobs()
    ended(blobs, "kept", labels={"keep": ""})
    ended(blobs, "let-go", labels={"keep": "false"})
    assert swept(blobs) == ["let-go"]
    assert swept(blobs, Wish(before_us=LONG_AGO, kept=True)) == ["kept"]


def test_the_run_that_an_open_one_recovers_stays_and_those_before_it() -> None:
    blobs = DictBlobs()
    ended(blobs, "first")
    ended(blobs, "second", source_run="first", recover=True)
    begun(blobs, "open", source_run="second", recover=True).close()
    plan = plan_removal(blobs, ALL)
    assert plan.removed == ()
    assert plan.spared["first"] == "run open recovers it"


def entry(run: str) -> Entry:
    return Entry(
        key="k", created_us=1, run=run, action_id="a0", task="t", outputs=large(run).to_json()
    )


def test_values_that_the_cache_needs_stay_unless_asked_for() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    StoredCache(blobs).publish([entry("old")])
    blobs.put("runs/old/values/v2.npy", b"nobody needs it")
    [done] = remove(blobs, plan_removal(blobs, ALL))
    assert done.needed == 2  # the value, and the files it may name
    kept = left_of(blobs, "old")
    assert kept == [
        "catalog/reopened/old~999999.json",
        "runs/old/files/a0/data.csv",
        "runs/old/run.json",
        "runs/old/values/v1.npy",
    ]
    with pytest.raises(RunNotFoundError, match="was removed"):
        Catalog(blobs).run("old")
    assert Catalog(blobs).runs() == []
    with pytest.raises(RunExistsError):
        write_run(blobs, run_spec("old"))
    assert swept(blobs, Wish(before_us=LONG_AGO, cached=True)) == ["old"]
    assert left_of(blobs, "old") == []


def test_values_that_a_run_which_stays_has_adopted_stay() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    ended(blobs, "kept", outputs=large("old"), labels={"keep": "yes"})
    swept(blobs)
    assert "runs/old/values/v1.npy" in blobs.objects


def test_values_of_a_pinned_artifact_stay() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    blobs.put("artifacts/model/1.json", large("old").to_json().encode())
    swept(blobs)
    assert "runs/old/values/v1.npy" in blobs.objects
    assert "runs/old/actions.parquet" not in blobs.objects


def file_of(run: str) -> Payload:
    url = json.dumps({"url": f"memory://test/runs/{run}/files/a0/data.csv"})
    value = EncodedValue(codec="file", type="File", digest="f", size_bytes=1, inline=url)
    return Payload(values={"o0": value})


def chained(blobs: DictBlobs) -> None:
    """An artifact keeps a value of `last`, which holds what `mid` made of a file of `first`."""
    ended(blobs, "first")
    ended(blobs, "mid", inputs=file_of("first"))
    ended(blobs, "last", inputs=large("mid"))
    blobs.put("artifacts/model/1.json", large("last").to_json().encode())


CHAIN = ["runs/first/files/a0/data.csv", "runs/mid/values/v1.npy", "runs/last/values/v1.npy"]


def test_what_a_value_that_stays_may_hold_stays_too() -> None:
    blobs = DictBlobs()
    chained(blobs)
    assert swept(blobs) == ["first", "last", "mid"]
    assert all(key in blobs.objects for key in CHAIN)
    assert swept(blobs) == ["first", "last", "mid"]  # the books are gone: notes say it
    assert all(key in blobs.objects for key in CHAIN)
    blobs.delete(["artifacts/model/1.json"])
    swept(blobs)
    assert blobs.list("runs") == []


def test_what_a_value_may_hold_stays_wherever_a_removal_is_cut_off() -> None:
    start = DictBlobs()
    begun(start, "mid").finish("succeeded", {})
    begun(start, "last", inputs=file_of("mid")).finish("succeeded", {})
    start.put("artifacts/model/1.json", large("last").to_json().encode())

    def make() -> DictBlobs:
        blobs = DictBlobs()
        blobs.objects.update(start.objects)
        return blobs

    plan = plan_removal(start, ALL)
    for left in every_crash(make, lambda blobs: list(remove(blobs, plan))):
        swept(left.blobs)  # type: ignore[arg-type]
        for kept in ("runs/mid/files/a0/data.csv", "runs/last/values/v1.npy"):
            assert left.blobs.exists(kept), str(left)


def test_a_damaged_run_file_stops_the_removal_before_it_begins() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    blobs.put("runs/broken/run.json", b"{half")
    with pytest.raises(StoreError, match="damaged"):
        swept(blobs)
    assert "runs/old/actions.parquet" in blobs.objects


def test_a_run_whose_last_segment_is_damaged_stops_no_removal() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    book = create_book(blobs, run_spec("reader"), "test")
    book.append([row(EventKind.SUCCEEDED, outputs=large("old").to_json())]).result(PATIENT_S)
    book.append([row(EventKind.SUCCEEDED, "a2")]).result(PATIENT_S)
    book.close()
    blobs.objects[layout.segment(RunName("reader"), 1)] = b""
    assert swept(blobs) == ["old"]
    assert "runs/old/values/v1.npy" in blobs.objects  # the row before the damaged one names it


def damaged(blobs: DictBlobs, name: str) -> None:
    """The first segment of the run's book is gone, and others are not."""
    blobs.objects[layout.segment(RunName(name), 0)] = b""


def test_a_damaged_book_is_named_and_all_that_its_run_may_need_stays() -> None:
    blobs = DictBlobs()
    ended(blobs, "old", code=CodeSpec(digest="c", bundle_key="code/c.zip"))
    blobs.put("code/c.zip", b"zip")
    begun(blobs, "open").close()
    damaged(blobs, "open")
    plan = plan_removal(blobs, ALL)
    assert "cannot be read" in plan.spared["open"]
    assert "damaged" in plan.spared["open"]
    assert not plan.code
    assert [each.run for each in remove(blobs, plan)] == ["old"]
    assert [key for key in left_of(blobs, "old") if key.startswith("runs/")] == [
        "runs/old/files/a0/data.csv",
        "runs/old/run.json",
        "runs/old/values/v1.npy",
    ]
    assert layout.segment(RunName("open"), 1) in blobs.objects

    swept(blobs, Wish(before_us=LONG_AGO, abandoned=True))  # nobody needs it: its book is not read
    assert blobs.list("runs") == []


def test_what_values_hold_that_a_damaged_run_has_saved_is_remembered() -> None:
    blobs = DictBlobs()
    ended(blobs, "first")
    ended(blobs, "mid", inputs=file_of("first"))
    begun(blobs, "open").close()
    damaged(blobs, "open")
    assert swept(blobs) == ["first", "mid"]
    blobs.put("artifacts/model/1.json", large("mid").to_json().encode())
    swept(blobs, Wish(before_us=LONG_AGO, abandoned=True))
    assert all(key in blobs.objects for key in CHAIN[:2])


def test_a_damaged_run_that_would_leave_something_behind_stays() -> None:
    blobs = DictBlobs()
    ended(blobs, "first")
    begun(blobs, "mid", inputs=file_of("first")).finish("succeeded", {})
    damaged(blobs, "mid")
    blobs.put("artifacts/model/1.json", large("mid").to_json().encode())
    plan = plan_removal(blobs, ALL)
    assert plan.removed == ("first",)
    assert "cannot be read" in plan.spared["mid"]
    swept(blobs)
    assert "runs/first/files/a0/data.csv" in blobs.objects
    assert layout.final(RunName("mid"), 1) in blobs.objects


def test_a_run_that_folds_its_book_meanwhile_stops_no_removal() -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    run = RunName("live")
    book = begun(blobs, "live", large("old"))
    put_part(blobs, run, list(read_pieces(blobs, run, [0], [])), [])
    folds = []

    def fold(operation: str, key: str) -> None:
        if operation == "get" and key == layout.part(run, 0, 0) and not folds:
            folds.append(key)
            put_part(blobs, run, list(read_pieces(blobs, run, [0, 1], [])), list_parts(blobs, run))

    blobs.before = fold
    assert swept(blobs) == ["old"]
    assert folds
    assert "runs/old/values/v1.npy" in blobs.objects
    book.close()


def test_a_removal_that_is_cut_off_anywhere_is_completed_by_the_next() -> None:
    start = DictBlobs()
    ended(start, "old")
    ended(start, "kept", outputs=large("old"), labels={"keep": "yes"})

    def make() -> DictBlobs:
        blobs = DictBlobs()
        blobs.objects.update(start.objects)
        return blobs

    whole = make()
    swept(whole)
    plan = plan_removal(start, ALL)  # it writes nothing
    count = 0
    for left in every_crash(make, lambda blobs: list(remove(blobs, plan))):
        blobs = left.blobs
        assert isinstance(blobs, DictBlobs)
        assert "runs/old/values/v1.npy" in blobs.objects, str(left)
        assert Catalog(blobs).run("kept").counts, str(left)
        assert [run.name for run in Catalog(blobs).runs()] in (
            ["kept"],
            ["kept", "old"],
            ["old", "kept"],
        )
        swept(blobs)
        assert left_of(blobs, "old") == left_of(whole, "old"), str(left)
        count += 1
    assert count > 60


def test_two_who_remove_by_plans_of_the_same_time_do_not_disturb_each_other() -> None:
    blobs = DictBlobs()
    for name in ("old1", "old2"):
        ended(blobs, name)
    plans = plan_removal(blobs, ALL), plan_removal(blobs, ALL)
    second = []

    def interfere(operation: str, key: str) -> None:
        if (operation, key) == ("put", layout.run_file(RunName("old2"))):
            blobs.before = lambda *_: None
            second.extend(remove(blobs, plans[1]))

    blobs.before = interfere
    list(remove(blobs, plans[0]))
    assert [each.run for each in second] == ["old1", "old2"]
    swept(blobs)  # should each have left one to the other
    assert left_of(blobs, "old") == []


def test_a_new_run_of_an_old_name_survives_a_plan_of_before() -> None:
    blobs = DictBlobs()
    ended(blobs, "nightly")
    stale = plan_removal(blobs, ALL)
    swept(blobs)
    book = begun(blobs, "nightly")
    before = left_of(blobs, "nightly")
    [told] = remove(blobs, stale)
    assert told.spared
    assert left_of(blobs, "nightly") == before
    book.close()


def test_a_new_run_of_a_name_whose_removal_had_begun_survives() -> None:
    blobs = DictBlobs()
    ended(blobs, "nightly")
    first = iter(remove(blobs, plan_removal(blobs, ALL)))
    next(first)  # its objects are gone, its note is there
    stale = plan_removal(blobs, ALL)
    assert stale.removed == ("nightly",)
    list(first)
    ended(blobs, "nightly")
    write_heartbeat(blobs, RunName("nightly"), 1, 1)
    before = left_of(blobs, "nightly")
    [told] = remove(blobs, stale)
    assert told.spared
    assert left_of(blobs, "nightly") == before


@pytest.mark.parametrize("at", [layout.final(RunName("old"), 1), layout.owner(RunName("old"), 1)])
def test_a_run_that_another_removes_while_this_one_plans_stops_nothing(at: str) -> None:
    blobs = DictBlobs()
    ended(blobs, "old")
    others = plan_removal(blobs, ALL)

    def remove_it(operation: str, key: str) -> None:
        if (operation, key) == ("get", at):
            blobs.before = lambda *_: None
            list(remove(blobs, others))

    blobs.before = remove_it
    swept(blobs)
    assert left_of(blobs, "old") == []


ABANDONED = Wish(before_us=LONG_AGO, abandoned=True)


def test_an_abandoned_run_that_shows_life_after_the_plan_stays() -> None:
    blobs = DictBlobs()
    begun(blobs, "woken").close()
    write_heartbeat(blobs, RunName("woken"), 1, 1)
    plan = plan_removal(blobs, ABANDONED)
    write_heartbeat(blobs, RunName("woken"), 1, 2)
    [told] = remove(blobs, plan)
    assert told.spared
    assert Catalog(blobs).run("woken").heartbeat_age_s is not None


@pytest.mark.parametrize("moment", [("put", "runs/back/run.json"), ("delete", "")])
def test_a_run_that_is_taken_over_just_before_it_is_removed_goes_on(
    moment: tuple[str, str],
) -> None:
    blobs = DictBlobs()
    begun(blobs, "back").close()
    plan = plan_removal(blobs, ABANDONED)
    owners = []

    def take(operation: str, key: str) -> None:
        if operation == moment[0] and key.startswith(moment[1]):
            blobs.before = lambda *_: None
            owners.append(open_book(blobs, "back", "second"))

    blobs.before = take
    [told] = remove(blobs, plan)
    assert told.spared
    [(book, events)] = owners
    assert len(events) == 2
    book.append([row(EventKind.SUBMITTED, "a9")]).result(PATIENT_S)
    book.finish("succeeded", {})
    assert len(Catalog(blobs).events("back")) == 4
    assert [run.name for run in Catalog(blobs).runs()] == ["back"]


def test_who_takes_a_run_over_while_it_is_removed_is_told_and_leaves_nothing() -> None:
    blobs = DictBlobs()
    begun(blobs, "gone").close()
    plan = plan_removal(blobs, ABANDONED)

    def remove_it(operation: str, key: str) -> None:
        if (operation, key) == ("put_new", layout.owner(RunName("gone"), 2)):
            blobs.before = lambda *_: None
            list(remove(blobs, plan))

    blobs.before = remove_it
    with pytest.raises(RunNotFoundError):
        open_book(blobs, "gone", "second")
    assert left_of(blobs, "gone") == []


class FullDisk(DictBlobs):
    """Takes new objects only in the room of others that were deleted since, one for one."""

    def __init__(self, of: DictBlobs) -> None:
        super().__init__()
        self.objects = of.objects
        self.room = 0

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        self._take_room()
        if key in self.objects:
            self.room += 1  # once the new one is there
        super().put(key, *parts)

    def put_new(self, key: str, data: bytes) -> bool:
        self._take_room()
        return super().put_new(key, data)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.room += key in self.objects
            super().delete([key])

    def _take_room(self) -> None:
        if self.room < 1:
            raise StoreError("no space left")
        self.room -= 1


def test_a_full_disk_is_freed() -> None:
    blobs = DictBlobs()
    ended(blobs, "old", code=CodeSpec(bundle_key="code/x.zip"))
    begun(blobs, "cut").close()
    write_heartbeat(blobs, RunName("cut"), 1, 1)
    merge_summaries(blobs, at_least=1)
    full = FullDisk(blobs)
    with pytest.raises(StoreError, match="no space"):
        full.put("anything", b"")
    assert swept(full, Wish(before_us=LONG_AGO, abandoned=True)) == ["cut", "old"]
    assert blobs.list("runs") == []
    assert blobs.list("catalog") == []
