from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Event, EventKind
from flyte_ray.errors import FencedError, RunExistsError, StoreError, StoreUnwritableError
from flyte_ray.store import layout
from flyte_ray.store.ledger import BookLedger, create_book, open_book
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import Pace
from flyte_ray.store.remote_blobs import FsspecBlobs
from flyte_ray.store.segments import decode, encode
from tests.unit.store.books import row, run_spec, success
from tests.unit.store.stores import DictBlobs, FakeFileSystem

RUN = RunName("r1")
PATIENT_S = 30
ONE_AT_A_TIME = Pace(gap_per_leaf_s=0, note_s=3600)
FOUR_AT_A_TIME = replace(ONE_AT_A_TIME, window=4)


class Gate:
    """Holds back the writing of some slots until it is opened."""

    def __init__(self, *slots: int) -> None:
        self.keys = {layout.segment(RUN, slot) for slot in slots}
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, operation: str, key: str) -> None:
        if operation == "put_new" and key in self.keys:
            self.reached.set()
            assert self.open.wait(PATIENT_S)


@pytest.fixture
def blobs() -> DictBlobs:
    return DictBlobs()


@pytest.fixture
def book(blobs: DictBlobs) -> Iterator[BookLedger]:
    ledger = create_book(blobs, run_spec(), "test", pace=ONE_AT_A_TIME)
    yield ledger
    blobs.before = blobs.after = lambda operation, key: None
    ledger.close()


def stored(blobs: DictBlobs, slot: int) -> list[str]:
    return [event.action_id for event in decode(blobs.objects[layout.segment(RUN, slot)])]


def all_stored(blobs: DictBlobs) -> list[str]:
    return [event.action_id for event in LogFiles(blobs, RUN).events()]


def failing(
    error: BaseException, times: int = 10**9, *, part: str = "/log/", operation: str = "put_new"
):
    """A hook that fails the writing of segments, or of other files."""
    left = [times]

    def hook(asked: str, key: str) -> None:
        if asked == operation and part in key and left[0] > 0:
            left[0] -= 1
            raise error

    return hook


def test_an_acknowledgement_waits_for_the_write(blobs: DictBlobs, book: BookLedger) -> None:
    blobs.before = gate = Gate(0)
    future = book.append([success("a1")])
    assert gate.reached.wait(PATIENT_S)
    assert not future.done()
    gate.open.set()
    future.result(PATIENT_S)
    assert stored(blobs, 0) == ["a1"]


def test_what_gathers_while_a_write_is_in_flight_goes_into_one_segment(
    blobs: DictBlobs, book: BookLedger
) -> None:
    blobs.before = gate = Gate(0)
    futures = [book.append([success("a1")])]
    assert gate.reached.wait(PATIENT_S)
    futures += [book.append([success(f"a{n}")]) for n in range(2, 7)]
    gate.open.set()
    for future in futures:
        future.result(PATIENT_S)
    assert stored(blobs, 1) == ["a2", "a3", "a4", "a5", "a6"]


def test_notes_ride_along_in_order(blobs: DictBlobs, book: BookLedger) -> None:
    book.note([row(EventKind.SUBMITTED, "a1"), row(EventKind.SUBMITTED, "a2")])
    book.append([success("a1")]).result(PATIENT_S)
    assert stored(blobs, 0) == ["a1", "a2", "a1"]
    assert blobs.calls["put_new"] == 3  # run.json, the claim, one segment


def test_notes_alone_are_written_soon(blobs: DictBlobs) -> None:
    written = threading.Event()
    blobs.after = lambda operation, key: written.set() if "/log/" in key else None
    book = create_book(blobs, run_spec(), "test", pace=Pace(note_s=0.01))
    book.note([row(EventKind.STARTED, "a1")])
    assert written.wait(PATIENT_S)
    assert stored(blobs, 0) == ["a1"]
    book.close()


def test_close_writes_what_is_left_and_may_be_repeated(blobs: DictBlobs, book: BookLedger) -> None:
    book.note([row(EventKind.STARTED, "a1")])
    book.close()
    book.close()
    assert all_stored(blobs) == ["a1"]
    with pytest.raises(StoreError, match="closed"):
        book.append([success("a2")]).result(PATIENT_S)
    book.note([success("a3")])
    assert all_stored(blobs) == ["a1"]


def test_appending_nothing_is_done_at_once(book: BookLedger) -> None:
    assert book.append([]).done()


def test_many_events_are_spread_over_segments_in_order(blobs: DictBlobs) -> None:
    pace = replace(FOUR_AT_A_TIME, most_events=3)
    book = create_book(blobs, run_spec(), "test", pace=pace)
    names = [f"a{n}" for n in range(20)]
    book.append([success(name) for name in names]).result(PATIENT_S)
    assert all_stored(blobs) == names
    assert len(LogFiles(blobs, RUN).slots()) == 7
    book.close()


def test_segments_are_acknowledged_on_their_own_within_the_window(blobs: DictBlobs) -> None:
    order: list[tuple[str, str]] = []
    gate = Gate(0)

    def before(operation: str, key: str) -> None:
        order.append(("begin", key))
        gate(operation, key)

    book = create_book(blobs, run_spec(), "test", pace=FOUR_AT_A_TIME)
    blobs.before = before
    blobs.after = lambda operation, key: order.append(("end", key))
    first = book.append([success("a0")])
    assert gate.reached.wait(PATIENT_S)
    for number in (1, 2, 3):
        book.append([success(f"a{number}")]).result(PATIENT_S)
    outside = book.append([success("a4")])
    assert not first.done()
    gate.open.set()
    outside.result(PATIENT_S)
    first.result(PATIENT_S)
    assert order.index(("begin", layout.segment(RUN, 4))) > order.index(
        ("end", layout.segment(RUN, 0))
    )
    book.close()


# ------------------------------------------------------------- the store fails


def test_a_store_that_is_away_is_waited_for_visibly(
    blobs: DictBlobs, book: BookLedger, caplog: pytest.LogCaptureFixture
) -> None:
    blobs.before = failing(StoreError("no answer"), times=2)
    with caplog.at_level(logging.WARNING):
        book.append([success("a1")]).result(PATIENT_S)
    assert stored(blobs, 0) == ["a1"]
    assert "waits for the store" in caplog.text


def test_a_book_that_waits_for_its_store_says_what_for(blobs: DictBlobs, book: BookLedger) -> None:
    fail = failing(StoreError("no answer"), times=2)
    told: list[str] = []

    def before(operation: str, key: str) -> None:
        told.append(book.waits_for)
        fail(operation, key)

    blobs.before = before
    book.append([success("a1")]).result(PATIENT_S)
    assert told == ["", "no answer", "no answer"]
    assert book.waits_for == ""


def test_a_store_that_stays_away_fails_everyone_who_waits(blobs: DictBlobs) -> None:
    book = create_book(blobs, run_spec(), "test", pace=replace(ONE_AT_A_TIME, patience_s=0))
    gate = Gate(0)

    def before(operation: str, key: str) -> None:
        gate(operation, key)
        failing(StoreError("no answer"))(operation, key)

    blobs.before = before
    futures = [book.append([success("a1")])]
    assert gate.reached.wait(PATIENT_S)
    futures.append(book.append([success("a2")]))
    gate.open.set()
    for future in futures:
        with pytest.raises(StoreError, match="no answer"):
            future.result(PATIENT_S)
    with pytest.raises(StoreError, match="no answer"):
        book.append([success("a3")]).result(PATIENT_S)
    with pytest.raises(StoreError, match="no answer"):
        book.finish("failed", {})
    assert all_stored(blobs) == []


def test_a_store_that_may_not_be_written_is_not_waited_for(
    blobs: DictBlobs, book: BookLedger
) -> None:
    blobs.before = failing(StoreUnwritableError("read-only now"))
    with pytest.raises(StoreUnwritableError):
        book.append([success("a1")]).result(PATIENT_S)


def test_a_lost_reply_doubles_nothing(blobs: DictBlobs, book: BookLedger) -> None:
    blobs.after = failing(StoreError("reply lost"), times=1)
    book.append([success("a1")]).result(PATIENT_S)
    book.append([success("a2")]).result(PATIENT_S)
    assert all_stored(blobs) == ["a1", "a2"]
    assert (stored(blobs, 0), stored(blobs, 1)) == (["a1"], ["a2"])


def test_a_lost_reply_of_a_client_that_repeats_by_itself_doubles_nothing() -> None:
    filesystem = FakeFileSystem()
    blobs = FsspecBlobs(filesystem, "bucket", url="fake://bucket", first_pause_s=0)
    book = create_book(blobs, run_spec(), "test")
    filesystem.faults = [("after", ConnectionResetError())]
    book.append([success("a1")]).result(PATIENT_S)
    book.close()
    assert [event.action_id for event in LogFiles(blobs, RUN).events()] == ["a1"]


def test_a_slow_write_is_sent_a_second_time(blobs: DictBlobs) -> None:
    release, turns = threading.Event(), iter([True])

    def slow_once(operation: str, key: str) -> None:
        if "/log/" in key and next(turns, False):
            assert release.wait(PATIENT_S)

    book = create_book(blobs, run_spec(), "test", pace=replace(ONE_AT_A_TIME, hedge_s=0.01))
    blobs.before = slow_once
    book.append([success("a1")]).result(PATIENT_S)
    assert not release.is_set()
    release.set()
    book.append([success("a2")]).result(PATIENT_S)
    book.close()
    assert all_stored(blobs) == ["a1", "a2"]


def test_an_unforeseen_failure_leaves_nobody_waiting(
    blobs: DictBlobs, book: BookLedger, caplog: pytest.LogCaptureFixture
) -> None:
    blobs.before = failing(ZeroDivisionError("a bug"))
    with pytest.raises(StoreError, match="a bug"):
        book.append([success("a1")]).result(PATIENT_S)
    assert "cannot go on" in caplog.text


# ------------------------------------------------------------- owners


def test_a_name_is_taken_once(blobs: DictBlobs, book: BookLedger) -> None:
    with pytest.raises(RunExistsError, match="'r1'"):
        create_book(blobs, run_spec(user="another"), "test")
    with pytest.raises(RunExistsError, match="'r1'"):
        create_book(blobs, run_spec(), "test")


def test_a_new_owner_reads_everything_and_goes_on(blobs: DictBlobs, book: BookLedger) -> None:
    book.append([success("a1")]).result(PATIENT_S)
    book.append([success("a2")]).result(PATIENT_S)
    new, events = open_book(blobs, "r1", "second")
    assert [event.action_id for event in events] == ["a1", "a2"]
    assert (book.epoch, new.epoch) == (1, 2)
    new.append([success("a3")]).result(PATIENT_S)
    new.close()
    assert all_stored(blobs) == ["a1", "a2", "a3"]


def test_the_old_owner_is_fenced_and_changes_nothing(blobs: DictBlobs, book: BookLedger) -> None:
    book.append([success("a1")]).result(PATIENT_S)
    new, _ = open_book(blobs, "r1", "second")
    for _ in range(2):
        with pytest.raises(FencedError, match="taken over") as caught:
            book.append([success("late")]).result(PATIENT_S)
    assert caught.value.run_name == "r1"
    with pytest.raises(FencedError):
        book.finish("succeeded", {})
    new.close()
    assert all_stored(blobs) == ["a1"]
    assert not blobs.list(layout.finals(RUN))


def test_a_write_in_flight_at_takeover_fails_if_it_lost(blobs: DictBlobs, book: BookLedger) -> None:
    own = threading.get_ident()
    reached, release = threading.Event(), threading.Event()

    def hold_the_old_owner(operation: str, key: str) -> None:
        if threading.get_ident() != own and "/log/" in key:
            reached.set()
            assert release.wait(PATIENT_S)

    blobs.before = hold_the_old_owner
    pending = book.append([success("late")])
    queued = book.append([success("later")])
    assert reached.wait(PATIENT_S)
    new, events = open_book(blobs, "r1", "second", pace=ONE_AT_A_TIME)
    release.set()
    for future in (pending, queued):
        with pytest.raises(FencedError):
            future.result(PATIENT_S)
    assert events == []
    new.close()
    assert all_stored(blobs) == []


def test_the_fence_of_a_stale_opener_is_stepped_over(blobs: DictBlobs) -> None:
    fence = Event(kind=EventKind.FENCE, at_us=1, action_id=row(EventKind.FENCE).action_id)
    blobs.put(layout.segment(RUN, 0), encode([fence], 0, 1))
    blobs.put(layout.segment(RUN, 1), encode([fence], 1, 1))
    book = BookLedger(blobs, RUN, 2, 0, pace=ONE_AT_A_TIME)
    book.append([success("a1")]).result(PATIENT_S)
    book.append([success("a2")]).result(PATIENT_S)
    assert (stored(blobs, 2), stored(blobs, 3)) == (["a1"], ["a2"])
    book.close()


def test_who_has_taken_a_slot_is_asked_again_while_the_store_is_away(blobs: DictBlobs) -> None:
    fence = Event(kind=EventKind.FENCE, at_us=1, action_id=row(EventKind.FENCE).action_id)
    blobs.put(layout.segment(RUN, 0), encode([fence], 0, 1))
    book = BookLedger(blobs, RUN, 2, 0, pace=ONE_AT_A_TIME)
    blobs.before = failing(StoreError("503"), times=2, operation="get")
    book.append([success("a1")]).result(PATIENT_S)
    assert stored(blobs, 1) == ["a1"]
    book.close()


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_foreign_result_in_our_slot_means_we_are_fenced(blobs: DictBlobs, epoch: int) -> None:
    blobs.put(layout.segment(RUN, 0), encode([success("theirs")], 0, epoch))
    book = BookLedger(blobs, RUN, 2, 0, pace=ONE_AT_A_TIME)
    with pytest.raises(FencedError):
        book.append([success("a1")]).result(PATIENT_S)
    book.close()
    assert all_stored(blobs) == ["theirs"]


# ------------------------------------------------------------- the end


def test_finish_writes_the_last_row_and_then_the_final_file(
    blobs: DictBlobs, book: BookLedger
) -> None:
    book.note([row(EventKind.STARTED, "a1")])
    book.finish("succeeded", {"succeeded": 3})
    final = json.loads(blobs.get(layout.final(RUN, 1)))
    assert (final["status"], final["counts"], final["epoch"]) == ("succeeded", {"succeeded": 3}, 1)
    events = LogFiles(blobs, RUN).events()
    assert [event.kind for event in events] == [EventKind.STARTED, EventKind.RUN_END]
    before = dict(blobs.objects)
    book.finish("failed", {})
    assert blobs.objects == before


def test_the_final_file_waits_for_the_store_like_any_row(
    blobs: DictBlobs, book: BookLedger
) -> None:
    blobs.before = failing(StoreError("503"), times=2, part="/final/")
    book.finish("succeeded", {})
    assert json.loads(blobs.get(layout.final(RUN, 1)))["status"] == "succeeded"


def test_a_takeover_waits_for_the_store_at_each_of_its_requests(
    blobs: DictBlobs, book: BookLedger
) -> None:
    book.append([success("a1")]).result(PATIENT_S)
    asked: set[tuple[str, str]] = set()

    def away_once(operation: str, key: str) -> None:
        if (operation, key) not in asked:
            asked.add((operation, key))
            raise StoreError("503")

    blobs.before = away_once
    successor, events = open_book(blobs, RUN, "second", pace=ONE_AT_A_TIME)
    successor.close()
    assert [event.action_id for event in events] == ["a1"]
    assert {operation for operation, _ in asked} == {"get", "list", "put", "put_new"}


def test_a_takeover_gives_a_store_up_that_stays_away(blobs: DictBlobs, book: BookLedger) -> None:
    blobs.before = failing(StoreError("no answer"), part="/owners/")
    with pytest.raises(StoreError, match="no answer"):
        open_book(blobs, RUN, "second", pace=replace(ONE_AT_A_TIME, patience_s=0))


def test_a_damaged_book_is_told_at_once(blobs: DictBlobs, book: BookLedger) -> None:
    for action in ("a1", "a2"):
        book.append([success(action)]).result(PATIENT_S)
    blobs.put(layout.segment(RUN, 0), b"")
    blobs.calls.clear()
    with pytest.raises(StoreError, match="damaged"):
        open_book(blobs, RUN, "second", pace=replace(ONE_AT_A_TIME, patience_s=PATIENT_S))
    assert blobs.calls["get"] < 20


def test_finish_adds_no_second_last_row(blobs: DictBlobs, book: BookLedger) -> None:
    book.append([row(EventKind.RUN_END, "a0")]).result(PATIENT_S)
    book.finish("succeeded", {})
    assert len(LogFiles(blobs, RUN).events()) == 1
    assert list(blobs.list(layout.finals(RUN))) == ["000001.json"]


@pytest.mark.parametrize("store", ["ready", "hanging"])
def test_a_process_that_ends_without_closing_ends(store: str, tmp_path: Path) -> None:
    code = f"""
import threading
from tests.unit.store.books import run_spec, success
from tests.unit.store.stores import DictBlobs
from flyte_ray.store.ledger import create_book
blobs = DictBlobs("gs://as-if-remote")
book = create_book(blobs, run_spec(), "test")
if {store!r} == "hanging":
    blobs.before = lambda operation, key: threading.Event().wait()
book.append([success("a1")])
print("end")
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
