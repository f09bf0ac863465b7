"""Compaction: what is folded, that no row is lost or doubled, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import Event, EventKind
from flyte_ray.errors import RunNotFoundError, StoreError
from flyte_ray.store import compaction, layout
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import blocks, compact_run, compact_store, fold_blocks
from flyte_ray.store.ledger import BookLedger, create_book, open_book
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import Pace
from flyte_ray.store.parts import list_parts
from flyte_ray.store.segments import encode
from flyte_ray.testing.crashes import Crash, CrashingBlobs, every_crash
from tests.unit.store.books import ONE, row, run_spec, success
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
PATIENT_S = 30
STORIES = 400 if "FLYTE_RAY_SIMULATE" in os.environ else 10
EACH_ALONE = Pace(gap_per_leaf_s=0)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4 slots, then of 8: so that small books show all there is to see."""
    monkeypatch.setattr(compaction, "SLOTS_A_PART", 4)
    monkeypatch.setattr(compaction, "FAN_IN", 2)


def written(blobs: DictBlobs, slots: int) -> None:
    """A book of so many slots, two rows in each."""
    for slot in range(slots):
        rows = [row(EventKind.SUBMITTED, f"a{slot}", inputs=ONE.to_json()), success(f"a{slot}")]
        blobs.put(layout.segment(RUN, slot), encode(rows, slot, 1))


def ended(blobs: DictBlobs, actions: int = 5) -> BookLedger:
    """A run with so many children, all of them succeeded, each row in a slot of its own."""
    book = create_book(blobs, run_spec(), "test", pace=EACH_ALONE)
    book.append([row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json())]).result(PATIENT_S)
    for number in range(actions):
        submitted = row(EventKind.SUBMITTED, f"b{number}", at_us=number)
        book.append([submitted]).result(PATIENT_S)
        book.append([success(f"b{number}")]).result(PATIENT_S)
    book.append([row(EventKind.SUCCEEDED, ROOT_ACTION, attempt=1)]).result(PATIENT_S)
    book.finish("succeeded", {"succeeded": actions + 1})
    return book


def story(blobs: DictBlobs) -> list[tuple[str, str]]:
    return [(e.kind.value, e.action_id) for e in LogFiles(blobs, RUN).events()]


def table(blobs: DictBlobs, key: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(blobs.objects[key]))


def test_blocks_are_aligned_and_grow_by_levels() -> None:
    width = compaction.SLOTS_A_PART
    found = list(blocks(width * compaction.FAN_IN + 1))
    assert found[:2] == [(0, width - 1), (width, 2 * width - 1)]
    assert found[-1] == (0, width * compaction.FAN_IN - 1)
    assert list(blocks(width - 1)) == []


@pytest.mark.usefixtures("narrow")
def test_a_run_that_goes_on_is_folded_by_levels_and_its_slots_stay() -> None:
    blobs = DictBlobs()
    written(blobs, 14)
    before = story(blobs)
    assert fold_blocks(blobs, RUN, 14) == 4
    assert list_parts(blobs, RUN) == [(0, 7), (8, 11)]
    assert story(blobs) == before
    assert len(list(blobs.list(layout.chunk(RUN, 0)))) == 14
    assert fold_blocks(blobs, RUN, 14) == 0


@pytest.mark.usefixtures("narrow")
def test_only_slots_that_are_stored_are_folded() -> None:
    blobs = DictBlobs()
    written(blobs, 14)
    blobs.delete([layout.segment(RUN, 5)])  # still in flight
    blobs.put(layout.run_file(RUN), json.dumps({}).encode())
    assert fold_blocks(blobs, RUN, 5) == 1
    with pytest.raises(FileNotFoundError):
        fold_blocks(blobs, RUN, 14)
    assert list_parts(blobs, RUN) == [(0, 3)]


def test_an_ended_run_has_tables_one_part_and_a_line_in_the_catalog() -> None:
    blobs = DictBlobs()
    ended(blobs)
    before = story(blobs)
    done = compact_run(blobs, RUN)
    assert (done.parts, done.tables) == (1, True)
    actions = table(blobs, layout.actions_table(RUN)).to_pylist()
    assert [a["action_id"] for a in actions] == [ROOT_ACTION, *(f"b{n}" for n in range(5))]
    assert {a["status"] for a in actions} == {"succeeded"}
    assert actions[1]["attempts"][0]["status"] == "succeeded"
    edges = table(blobs, layout.edges_table(RUN)).to_pylist()
    control = {(e["src_action"], e["dst_action"]) for e in edges if e["kind"] == "control"}
    assert control == {(ROOT_ACTION, f"b{n}") for n in range(5)}
    [line] = table(blobs, layout.run_summary(RUN, "19700101")).to_pylist()
    assert (line["run"], line["status"], line["action_count"]) == (RUN, "succeeded", 6)
    assert story(blobs) == before


def test_compacting_again_writes_nothing() -> None:
    blobs = DictBlobs()
    ended(blobs)
    compact_run(blobs, RUN)
    objects = dict(blobs.objects)
    done = compact_run(blobs, RUN)
    assert (done.parts, done.tables, blobs.objects) == (0, False, objects)


def test_a_run_that_was_resumed_gets_its_tables_anew_and_the_old_ones_do_not_count() -> None:
    blobs = DictBlobs()
    ended(blobs)
    compact_run(blobs, RUN)
    book, _ = open_book(blobs, RUN, "second")
    book.append([success("late")]).result(PATIENT_S)
    assert Catalog(blobs).find_actions(RUN).total == 7
    book.finish("succeeded", {})
    assert Catalog(blobs).action_table(RUN).num_rows == 7
    assert compact_run(blobs, RUN).tables
    assert table(blobs, layout.actions_table(RUN)).num_rows == 7


def test_an_unknown_run_cannot_be_compacted() -> None:
    with pytest.raises(RunNotFoundError):
        compact_run(DictBlobs(), "none")


def test_a_damaged_book_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    blobs = DictBlobs()
    ended(blobs)
    blobs.objects[layout.segment(RUN, 3)] = b"half"
    with pytest.raises(StoreError, match=r"000000003\.parquet is damaged"):
        compact_run(blobs, RUN)
    assert compact_store(blobs) == []
    assert "is not compacted" in caplog.text
    assert list_parts(blobs, RUN) == []


def test_the_whole_store_is_compacted_run_by_run() -> None:
    blobs = DictBlobs()
    ended(blobs)
    create_book(blobs, run_spec("r2"), "test").close()
    blobs.put("runs/half/inputs.json", b"{}")
    assert [(c.run, c.tables) for c in compact_store(blobs)] == [("r1", True), ("r2", False)]


@pytest.mark.usefixtures("narrow")
def test_a_crash_at_any_step_of_compaction_loses_and_doubles_nothing() -> None:
    start = DictBlobs()
    ended(start, 3)

    def ready() -> DictBlobs:
        blobs = DictBlobs()
        blobs.objects.update(start.objects)
        return blobs

    whole = ready()
    before = story(whole)
    compact_run(whole, RUN)
    expected = table(whole, layout.actions_table(RUN))
    count = 0
    for left in every_crash(ready, lambda blobs: compact_run(blobs, RUN)):
        blobs = left.blobs
        assert isinstance(blobs, DictBlobs)
        assert story(blobs) == before, str(left)
        assert Catalog(blobs).find_actions(RUN).total == 4, str(left)
        compact_run(blobs, RUN)
        assert table(blobs, layout.actions_table(RUN)).equals(expected), str(left)
        assert story(blobs) == before, str(left)
        count += 1
    assert count > 40


@pytest.mark.usefixtures("narrow")
def test_a_crash_at_any_step_of_folding_loses_and_doubles_nothing() -> None:
    def make() -> DictBlobs:
        blobs = DictBlobs()
        written(blobs, 9)
        return blobs

    before = story(make())
    for left in every_crash(make, lambda blobs: fold_blocks(blobs, RUN, 9)):
        assert isinstance(left.blobs, DictBlobs)
        assert story(left.blobs) == before, str(left)
        fold_blocks(left.blobs, RUN, 9)
        assert list_parts(left.blobs, RUN)[0] == (0, 7), str(left)
        assert story(left.blobs) == before, str(left)


class CompactedBook(RuleBasedStateMachine):
    """Owners that write and take over, folders that crash, readers that follow: one book."""

    books = Bundle("books")

    def __init__(self) -> None:
        super().__init__()
        self.blobs = DictBlobs()
        self.follower = LogFiles(self.blobs, RUN)
        self.told: list[str] = []
        self.is_over = False
        self.sizes = (compaction.SLOTS_A_PART, compaction.FAN_IN)
        compaction.SLOTS_A_PART, compaction.FAN_IN = 3, 2

    def teardown(self) -> None:
        self.book.close()
        compaction.SLOTS_A_PART, compaction.FAN_IN = self.sizes

    @initialize()
    def begin(self) -> None:
        self.book = create_book(self.blobs, run_spec(), "first", pace=EACH_ALONE)

    @rule(count=st.integers(1, 5))
    @precondition(lambda self: not self.is_over)
    def write(self, count: int) -> None:
        for _ in range(count):
            name = f"b{len(self.told)}"
            self.book.append([success(name)]).result(PATIENT_S)
            self.told.append(name)

    @rule()
    def end(self) -> None:
        if not self.is_over:
            self.book.finish("succeeded", {})
            self.is_over = True

    @rule()
    def take_over(self) -> None:
        stale = self.book
        self.book, events = open_book(self.blobs, RUN, "next", pace=EACH_ALONE)
        stale.close()
        assert names(events) == self.told
        self.is_over = False

    @rule()
    def keep_up(self) -> None:
        fold_blocks(self.blobs, RUN, self.book.stored_below)

    @rule()
    def compact(self) -> None:
        done = compact_run(self.blobs, RUN)
        assert done.tables <= self.is_over

    @rule(at=st.integers(0, 40), when=st.sampled_from(["before", "after", "lost"]))
    def compact_and_die(self, at: int, when: str) -> None:
        dying = CrashingBlobs(self.blobs, at=at, when=when)  # type: ignore[arg-type]
        try:
            compact_run(dying, RUN)
        except (Crash, StoreError):
            pass

    @rule()
    @precondition(lambda self: self.is_over)
    def take_the_log_away(self) -> None:
        """What `retention` may do a day after the end."""
        compact_run(self.blobs, RUN)
        for first, last in list_parts(self.blobs, RUN):
            self.blobs.delete(layout.segment(RUN, slot) for slot in range(first, last + 1))

    @invariant()
    def a_new_reader_sees_each_row_once(self) -> None:
        assert names(LogFiles(self.blobs, RUN).events()) == self.told

    @invariant()
    def one_who_follows_sees_each_row_once(self) -> None:
        assert names(self.follower.events()) == self.told

    @invariant()
    def the_list_of_actions_is_the_books(self) -> None:
        page = Catalog(self.blobs).find_actions(RUN, limit=None)
        assert sorted(set(self.told) - {line.action_id for line in page.lines}) == []


def names(events: list[Event]) -> list[str]:
    return [e.action_id for e in events if e.kind is EventKind.SUCCEEDED]


TestCompactedBook: Callable[[], None] = CompactedBook.TestCase  # type: ignore[assignment]
TestCompactedBook.settings = settings(max_examples=STORIES, stateful_step_count=16, deadline=None)  # type: ignore[attr-defined]
