"""Ten thousand runs in a few reads, and never a run missing, doubled or shown as it was before."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.errors import FencedError, FlyteRayError
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run, compact_store
from flyte_ray.store.final_tables import day_of, run_row
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.ownership import take_over
from flyte_ray.store.retention import Wish, plan_removal, remove
from flyte_ray.store.run_file import write_run
from flyte_ray.store.schemas import RUNS_VERSION
from flyte_ray.store.summaries import (
    MERGE_FROM,
    drop_summaries,
    merge_summaries,
    read_summaries,
)
from flyte_ray.store.tables import write_table
from flyte_ray.testing.crashes import Crash, CrashingBlobs, every_crash
from tests.unit.store.books import run_spec, success
from tests.unit.store.stores import DictBlobs

PATIENT_S = 30
ALL = Wish(before_us=2**62)


def ended(blobs: DictBlobs, name: str, *, epoch: int = 1, status: str = "succeeded") -> None:
    """A run as its end leaves it, without a book: what lists look at."""
    spec = run_spec(name, started_us=int(name[1:]) * 10**6, labels={"n": name})
    if not blobs.exists(layout.run_file(spec.name)):
        write_run(blobs, spec)
    blobs.put(layout.owner(spec.name, epoch), b"{}")
    final = {"epoch": epoch, "status": status, "ended_us": epoch, "counts": {"succeeded": 1}}
    blobs.put(layout.final(spec.name, epoch), json.dumps(final).encode())
    row = write_table(run_row(spec, final, None, 1), RUNS_VERSION, {})
    blobs.put(layout.run_summary(spec.name, day_of(spec)), row)


def told(blobs: DictBlobs) -> list[tuple[str, str]]:
    return [(run.name, run.phase.value) for run in Catalog(blobs).runs(None)]


def test_a_thousand_runs_are_listed_in_a_few_reads() -> None:
    blobs = DictBlobs()
    for number in range(1000):
        ended(blobs, f"r{number}")
        if number % 40 == 39:
            merge_summaries(blobs)
    blobs.calls.clear()
    runs = Catalog(blobs).runs(50)
    assert [run.name for run in runs] == [f"r{n}" for n in range(999, 949, -1)]
    assert blobs.calls["get"] < MERGE_FROM + 10
    assert blobs.calls["list"] < 10
    merge_summaries(blobs, at_least=1)
    blobs.calls.clear()
    assert len(Catalog(blobs).runs(None)) == 1000
    assert sum(blobs.calls.values()) < 20


def test_each_row_is_written_again_a_few_times_only() -> None:
    blobs = DictBlobs()
    written = 0
    for number in range(400):
        ended(blobs, f"r{number}")
        if number % 8 == 7:
            before = set(blobs.list(layout.MERGED_SUMMARIES))
            assert merge_summaries(blobs, at_least=8) == 8
            new = set(blobs.list(layout.MERGED_SUMMARIES)) - before
            written += sum(layout.merged_rows(name) or 0 for name in new)
    assert written < 400 * 8
    assert len(blobs.list(layout.MERGED_SUMMARIES)) < 8


def test_filters_look_at_rows_and_at_runs_without_one_alike() -> None:
    blobs = DictBlobs()
    for number in range(4):
        ended(blobs, f"r{number}", status="failed" if number == 2 else "succeeded")
    merge_summaries(blobs, at_least=1)
    book = create_book(blobs, run_spec("r9", labels={"n": "r9"}, task="env.other"), "test")
    catalog = Catalog(blobs)
    assert [r.name for r in catalog.runs(phase=ActionPhase.FAILED)] == ["r2"]
    assert [r.name for r in catalog.runs(phase=ActionPhase.QUEUED)] == ["r9"]
    assert [r.name for r in catalog.runs(labels={"n": "r3"})] == ["r3"]
    assert [r.name for r in catalog.runs(labels={"n": "r9"})] == ["r9"]
    assert [r.name for r in catalog.runs(task="env.other")] == ["r9"]
    assert [r.name for r in catalog.runs(2, task="env.main")] == ["r3", "r2"]
    book.close()


def test_a_row_says_what_the_run_itself_says() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    [shown] = Catalog(blobs).runs()
    blobs.delete([key for key in blobs.objects if key.startswith(layout.SUMMARIES)])
    assert Catalog(blobs).runs() == [shown]


def test_a_run_that_has_just_started_is_listed() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    merge_summaries(blobs, at_least=1)
    catalog = Catalog(blobs)
    catalog.runs()
    write_run(blobs, run_spec("r2", started_us=9 * 10**6))
    assert [run.name for run in catalog.runs()] == ["r2", "r1"]


def test_a_run_that_is_resumed_is_no_longer_shown_as_it_ended() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    merge_summaries(blobs, at_least=1)
    for left in every_crash(
        lambda: copy_of(blobs), lambda store: take_over(store, RunName("r1"), "next")
    ):
        store = left.blobs
        assert isinstance(store, DictBlobs)
        is_claimed = store.exists(layout.owner(RunName("r1"), 2))
        assert told(store) == [("r1", "queued" if is_claimed else "succeeded")], str(left)


def test_a_run_that_ended_again_is_shown_by_its_last_end() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    merge_summaries(blobs, at_least=1)
    book, _ = open_book(blobs, "r1", "second")
    book.append([success("b")]).result(PATIENT_S)
    assert told(blobs) == [("r1", "queued")]
    book.finish("failed", {})
    compact_run(blobs, "r1")
    assert told(blobs) == [("r1", "failed")]
    merge_summaries(blobs, at_least=1)
    assert told(blobs) == [("r1", "failed")]
    assert blobs.list(layout.REOPENED) == []
    assert compact_store(blobs)[0].tables is False


def copy_of(blobs: DictBlobs) -> DictBlobs:
    copied = DictBlobs()
    copied.objects.update(blobs.objects)
    return copied


def test_a_crash_at_any_step_of_merging_loses_no_run() -> None:
    start = DictBlobs()
    for number in range(3):
        ended(start, f"r{number}")
    merge_summaries(start, at_least=1)
    for number in range(2, 6):
        ended(start, f"r{number}", epoch=2)
    expected = told(start)
    count = 0
    for left in every_crash(lambda: copy_of(start), lambda b: merge_summaries(b, at_least=1)):
        store = left.blobs
        assert isinstance(store, DictBlobs)
        assert told(store) == expected, str(left)
        merge_summaries(store, at_least=1)
        assert told(store) == expected, str(left)
        assert len(read_summaries(store)) == 6, str(left)
        count += 1
    assert count > 30


def test_two_who_merge_at_once_lose_no_run() -> None:
    blobs = DictBlobs()
    for number in range(6):
        ended(blobs, f"r{number}")
    expected = told(blobs)
    other = []

    def interfere(operation: str, key: str) -> None:
        if operation == "put" and not other:
            other.append(key)
            merge_summaries(blobs, at_least=1)

    blobs.before = interfere
    merge_summaries(blobs, at_least=1)
    assert other
    assert told(blobs) == expected


def test_who_reads_while_files_are_merged_sees_every_run() -> None:
    blobs = DictBlobs()
    for number in range(6):
        ended(blobs, f"r{number}")
    expected = told(blobs)
    merges = []

    def interfere(operation: str, key: str) -> None:
        if operation == "get" and key.startswith(layout.SUMMARIES) and not merges:
            merges.append(key)
            merge_summaries(blobs, at_least=1)

    blobs.before = interfere
    assert sorted(read_summaries(blobs)) == sorted(name for name, _ in expected)
    assert merges


def test_a_removed_run_leaves_no_row_to_anybody() -> None:
    blobs = DictBlobs()
    for number in range(3):
        ended(blobs, f"r{number}")
    merge_summaries(blobs, at_least=1)
    ended(blobs, "r3")
    list(remove(blobs, plan_removal(blobs, Wish(before_us=2**62))))
    assert told(blobs) == []
    assert read_summaries(blobs) == {}
    assert blobs.list("catalog") == []


def test_a_merge_does_not_bring_back_the_row_of_a_run_that_is_removed_meanwhile() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    ended(blobs, "r2")

    def remove_all(operation: str, key: str) -> None:
        if operation == "put" and key.startswith(layout.MERGED_SUMMARIES):
            blobs.before = lambda *_: None
            list(remove(blobs, plan_removal(blobs, ALL)))

    blobs.before = remove_all
    merge_summaries(blobs, at_least=2)
    assert read_summaries(blobs) == {}
    create_book(blobs, run_spec("r1"), "test").close()
    assert told(blobs) == [("r1", "queued")]


def test_two_who_take_rows_out_of_one_file_bring_none_back() -> None:
    blobs = DictBlobs()
    for number in range(4):
        ended(blobs, f"r{number}")
    merge_summaries(blobs, at_least=1)

    def drop_another(operation: str, key: str) -> None:
        if operation == "put" and key.startswith(layout.MERGED_SUMMARIES):
            blobs.before = lambda *_: None
            drop_summaries(blobs, ["r1"])

    blobs.before = drop_another
    drop_summaries(blobs, ["r2"])
    assert sorted(read_summaries(blobs)) == ["r0", "r3"]


def test_a_removal_takes_rows_away_of_runs_whose_name_another_has() -> None:
    """A merge that was killed just after it had written such a row leaves it."""
    blobs = DictBlobs()
    ended(blobs, "r1")
    [key] = [key for key in blobs.objects if key.startswith(layout.SUMMARIES)]
    row = blobs.objects[key]
    list(remove(blobs, plan_removal(blobs, ALL)))
    blobs.put(key, row)
    create_book(blobs, run_spec("r1", started_us=7), "test").close()
    ended(blobs, "r2")
    list(remove(blobs, plan_removal(blobs, Wish(before_us=0))))
    assert told(blobs) == [("r2", "succeeded"), ("r1", "queued")]
    assert sorted(read_summaries(blobs)) == ["r2"]


def test_columns_of_a_later_release_survive_merging() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    [key] = [key for key in blobs.objects if key.startswith(layout.SUMMARIES)]
    table = pq.read_table(blobs_file(blobs, key))
    later = table.append_column("mood", [["fine"]])
    blobs.put(key, write_table(later, RUNS_VERSION, {}))
    ended(blobs, "r2")
    merge_summaries(blobs, at_least=1)
    [key] = [key for key in blobs.objects if key.startswith(layout.MERGED_SUMMARIES)]
    moods = pq.read_table(blobs_file(blobs, key)).to_pydict()
    assert dict(zip(moods["run"], moods["mood"], strict=True)) == {"r1": "fine", "r2": None}


def test_a_damaged_file_is_passed_over_and_stays(caplog: pytest.LogCaptureFixture) -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    ended(blobs, "r2")
    [key] = [key for key in blobs.objects if key.endswith("/r1.parquet")]
    blobs.objects[key] = b"half"
    assert list(read_summaries(blobs)) == ["r2"]
    expected = told(blobs)
    assert [name for name, _ in expected] == ["r2", "r1"]
    merge_summaries(blobs, at_least=1)
    assert list(read_summaries(blobs)) == ["r2"]
    assert told(blobs) == expected
    assert blobs.exists(key)
    assert "is passed over" in caplog.text


def blobs_file(blobs: DictBlobs, key: str) -> object:
    return pa.BufferReader(blobs.objects[key])


class ManyRuns(RuleBasedStateMachine):
    """Runs begin, end, are resumed, removed and merged, by processes that die anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.blobs = DictBlobs()
        self.truth: dict[str, str] = {}
        self.epochs: dict[str, int] = {}
        self.number = 0

    @rule(status=st.sampled_from(["succeeded", "failed"]))
    def begin_and_end(self, status: str) -> None:
        self.number += 1
        name = f"r{self.number}"
        ended(self.blobs, name, status=status)
        self.truth[name], self.epochs[name] = status, 1

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        if self.truth:
            name = data.draw(st.sampled_from(sorted(self.truth)))
            try:
                self.epochs[name] = take_over(self.blobs, RunName(name), "next").epoch
            except FencedError:
                raise AssertionError("nobody else is there") from None
            self.truth[name] = "queued"

    @rule(data=st.data(), status=st.sampled_from(["succeeded", "failed"]))
    def end_again(self, data: st.DataObject, status: str) -> None:
        going = sorted(name for name, phase in self.truth.items() if phase == "queued")
        if going:
            name = data.draw(st.sampled_from(going))
            ended(self.blobs, name, epoch=self.epochs[name], status=status)
            self.truth[name] = status

    @rule(at=st.integers(0, 60), when=st.sampled_from(["before", "after", "lost"]))
    def merge_and_die(self, at: int, when: str) -> None:
        self.dying(at, when, lambda blobs: merge_summaries(blobs, at_least=1))

    @rule()
    def merge(self) -> None:
        merge_summaries(self.blobs, at_least=1)

    @rule(at=st.integers(0, 60), when=st.sampled_from(["before", "after", "lost"]))
    def remove_and_die(self, at: int, when: str) -> None:
        plan = plan_removal(self.blobs, ALL)
        self.dying(at, when, lambda blobs: list(remove(blobs, plan)))
        for name in plan.removed:
            note = self.blobs.objects.get(layout.run_file(name), b'{"removed')
            if note.startswith(b'{"removed'):
                self.truth.pop(name, None)

    def dying(self, at: int, when: str, story: Callable[[CrashingBlobs], object]) -> None:
        try:
            story(CrashingBlobs(self.blobs, at=at, when=when))  # type: ignore[arg-type]
        except (Crash, FlyteRayError):
            pass

    @invariant()
    def every_run_is_listed_as_it_stands(self) -> None:
        assert dict(told(self.blobs)) == self.truth


TestManyRuns: Callable[[], None] = ManyRuns.TestCase  # type: ignore[assignment]
TestManyRuns.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)  # type: ignore[attr-defined]
