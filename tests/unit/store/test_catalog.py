from __future__ import annotations

import json
import logging
import threading

import pytest

from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.errors import ActionNotFoundError, RunNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.ledger import BookLedger, create_book, open_book
from flyte_ray.store.run_file import write_heartbeat, write_run
from flyte_ray.store.segments import encode
from flyte_ray.store.summaries import merge_summaries
from tests.unit.store.books import ONE, row, run_spec, success
from tests.unit.store.stores import DictBlobs

PATIENT_S = 30


@pytest.fixture
def blobs() -> DictBlobs:
    return DictBlobs()


def begun(blobs: DictBlobs, name: str = "r1", **fields: object) -> BookLedger:
    book = create_book(blobs, run_spec(name, **fields), "test")
    book.append(
        [
            row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json()),
            row(EventKind.STARTED, ROOT_ACTION, attempt=1),
            row(EventKind.SUBMITTED, "a1"),
        ]
    ).result(PATIENT_S)
    return book


def test_a_run_in_progress_is_read(blobs: DictBlobs) -> None:
    book = begun(blobs)
    catalog = Catalog(blobs)
    run = catalog.run("r1")
    assert (run.name, run.phase, run.ended_us) == ("r1", ActionPhase.RUNNING, None)
    assert (run.counts["running"], run.counts["queued"]) == (1, 1)
    book.append([success("a1")]).result(PATIENT_S)
    assert catalog.run("r1").counts["succeeded"] == 1
    assert catalog.action("r1", "a1").outputs == ONE
    assert list(catalog.actions("r1")) == [ROOT_ACTION, "a1"]
    book.close()


def test_who_looks_again_at_a_run_reads_what_is_new_of_it(blobs: DictBlobs) -> None:
    book = begun(blobs)
    catalog = Catalog(blobs)
    for action in ("a1", "a2", "a3"):
        read: list[str] = []
        blobs.before = lambda operation, key, read=read: read.append(f"{operation} {key}")  # type: ignore[misc]
        assert catalog.run("r1").phase is ActionPhase.RUNNING
        assert not catalog.is_over("r1")
        catalog.actions("r1")
        blobs.before = lambda operation, key: None
        assert len([each for each in read if each.startswith("get runs/r1/log/")]) == 1
        book.append([success(action)]).result(PATIENT_S)
    book.close()


def test_a_run_is_over_when_its_end_is_the_last_row_or_its_final_file_is_there(
    blobs: DictBlobs,
) -> None:
    book = begun(blobs)
    catalog = Catalog(blobs)
    assert not catalog.is_over("r1")
    book.append([row(EventKind.RUN_END, ROOT_ACTION, attrs={"phase": "aborted"})]).result(PATIENT_S)
    book.close()
    assert catalog.is_over("r1")
    begun(blobs, "r2").finish("failed", {})
    assert catalog.is_over("r2")
    with pytest.raises(RunNotFoundError):
        catalog.is_over("r3")


def test_an_ended_run_is_told_without_its_book_once_it_is_folded(blobs: DictBlobs) -> None:
    book = begun(blobs)
    failed = row(EventKind.FAILED, ROOT_ACTION, attempt=1, error='{"code":"E","message":"no"}')
    book.append([failed]).result(PATIENT_S)
    book.finish("failed", {"failed": 1})
    before = Catalog(blobs).run("r1")
    compact_run(blobs, "r1")
    for merged in (False, True):
        if merged:
            merge_summaries(blobs, at_least=1)
        read: list[str] = []
        blobs.before = lambda operation, key, read=read: read.append(key)  # type: ignore[misc]
        assert Catalog(blobs).run("r1") == before
        assert before.error is not None
        assert not [key for key in read if "/log" in key or "/parts" in key]


@pytest.mark.parametrize("folded", [False, True])
def test_one_action_of_an_ended_run_is_told_as_among_all(blobs: DictBlobs, folded: bool) -> None:
    book = begun(blobs)
    book.append([success("a1"), row(EventKind.FAILED, ROOT_ACTION, attempt=1)]).result(PATIENT_S)
    book.finish("failed", {"failed": 1})
    if folded:
        compact_run(blobs, "r1")
    catalog = Catalog(blobs)
    for action, record in catalog.actions("r1").items():
        assert Catalog(blobs).action("r1", action) == record
    with pytest.raises(ActionNotFoundError):
        catalog.action("r1", "none")


def test_an_ended_run_is_known_by_its_final_file_alone(blobs: DictBlobs) -> None:
    begun(blobs).finish("failed", {"failed": 1})
    blobs.calls.clear()
    [run] = Catalog(blobs).runs()
    assert (run.phase, run.counts, run.heartbeat_age_s) == (ActionPhase.FAILED, {"failed": 1}, None)
    assert run.ended_us is not None
    assert blobs.calls["get"] == 2


def test_an_ended_run_shows_its_error_when_it_is_looked_at(blobs: DictBlobs) -> None:
    book = begun(blobs)
    error = json.dumps({"code": "ValueError", "kind": "user", "message": "no"})
    book.append([row(EventKind.FAILED, ROOT_ACTION, attempt=1, error=error)]).result(PATIENT_S)
    book.finish("failed", {})
    assert Catalog(blobs).run("r1").error == error


def test_a_run_without_a_final_file_whose_last_row_is_its_end_has_ended(blobs: DictBlobs) -> None:
    book = begun(blobs)
    end = row(EventKind.RUN_END, ROOT_ACTION, attrs={"phase": "aborted", "counts": {"aborted": 1}})
    book.append([end]).result(PATIENT_S)
    book.close()
    run = Catalog(blobs).run("r1")
    assert (run.phase, run.counts) == (ActionPhase.ABORTED, {"aborted": 1})


def test_a_final_file_of_an_earlier_owner_does_not_count(blobs: DictBlobs) -> None:
    begun(blobs).finish("succeeded", {})
    book, _ = open_book(blobs, "r1", "second")
    book.append([row(EventKind.SUBMITTED, ROOT_ACTION)]).result(PATIENT_S)
    assert Catalog(blobs).run("r1").phase is ActionPhase.QUEUED
    book.finish("failed", {})
    assert Catalog(blobs).run("r1").phase is ActionPhase.FAILED


def test_a_run_whose_owner_is_gone_shows_the_age_of_its_heartbeat(blobs: DictBlobs) -> None:
    book = begun(blobs)
    assert Catalog(blobs).run("r1").heartbeat_age_s is None
    write_heartbeat(blobs, RunName("r1"), 1, 1)
    age_s = Catalog(blobs).run("r1").heartbeat_age_s
    assert age_s is not None
    assert 0 <= age_s < PATIENT_S
    book.close()


def test_a_run_of_which_nothing_is_written_yet_is_queued(blobs: DictBlobs) -> None:
    write_run(blobs, run_spec())
    [run] = Catalog(blobs).runs()
    assert (run.phase, run.counts["queued"], run.started_us) == (ActionPhase.QUEUED, 0, 1_000_000)


def test_a_book_cut_off_in_the_middle_of_a_write_is_read_up_to_there(blobs: DictBlobs) -> None:
    begun(blobs).close()
    blobs.put(layout.segment(RunName("r1"), 1), encode([success("a1")], 1, 1)[:99])
    assert Catalog(blobs).action("r1", "a1").phase is ActionPhase.QUEUED


def test_runs_come_newest_first_and_are_filtered(blobs: DictBlobs) -> None:
    for number, name in enumerate(["old", "middle", "new"]):
        spec = run_spec(name, started_us=number + 1, labels={"n": str(number)}, task=f"env.{name}")
        write_run(blobs, spec)
    begun(blobs, "ended", started_us=9).finish("succeeded", {})
    blobs.put("runs/half-made/heartbeat.json", b"{}")
    catalog = Catalog(blobs)
    assert [r.name for r in catalog.runs()] == ["ended", "new", "middle", "old"]
    assert [r.name for r in catalog.runs(2)] == ["ended", "new"]
    assert [r.name for r in catalog.runs(None, labels={"n": "1"})] == ["middle"]
    assert [r.name for r in catalog.runs(task="env.old")] == ["old"]
    assert [r.name for r in catalog.runs(phase=ActionPhase.SUCCEEDED)] == ["ended"]


def test_a_run_that_is_damaged_keeps_no_other_one_from_being_listed(
    blobs: DictBlobs, caplog: pytest.LogCaptureFixture
) -> None:
    begun(blobs, "fine", started_us=1).finish("succeeded", {"succeeded": 1})
    begun(blobs, "unknown").close()
    blobs.put(layout.run_file(RunName("unknown")), b"")
    ended = begun(blobs, "ended", started_us=2)
    end = row(EventKind.RUN_END, ROOT_ACTION, attrs={"phase": "aborted", "counts": {"aborted": 2}})
    ended.append([end]).result(PATIENT_S)
    ended.finish("aborted", {"aborted": 2})
    blobs.put(layout.final(RunName("ended"), 1), b"")
    cut = begun(blobs, "cut", started_us=3)
    cut.append([success("a1")]).result(PATIENT_S)
    cut.append([success("a2")]).result(PATIENT_S)
    cut.close()
    blobs.put(layout.segment(RunName("cut"), 1), b"")

    catalog = Catalog(blobs)
    with caplog.at_level(logging.WARNING, "flyte_ray.store.catalog"):
        for phase in (None, ActionPhase.RUNNING, None):
            listed = {run.name: run for run in catalog.runs(phase=phase)}
            assert list(listed) == (["cut"] if phase else ["cut", "ended", "fine"])
    assert (listed["ended"].phase, listed["ended"].counts) == (ActionPhase.ABORTED, {"aborted": 2})
    assert listed["fine"].phase is ActionPhase.SUCCEEDED
    assert listed["cut"].phase is ActionPhase.RUNNING, "as it stood before the damage"
    told = [each.getMessage() for each in caplog.records if each.name == "flyte_ray.store.catalog"]
    assert len(told) == 3, "each once"
    for name, remedy in [("unknown", "restore"), ("ended", "remove it"), ("cut", "Restore")]:
        [line] = [line for line in told if line.startswith(f"run {name} ")]
        assert f"memory://test/runs/{name}/" in line
        assert remedy in line
    assert catalog.run("ended") == listed["ended"]
    for name in ("cut", "unknown"):
        with pytest.raises(StoreError, match="damaged"):
            catalog.run(name)


@pytest.mark.parametrize("part", ["run.json", "/final/", "/log/"])
def test_a_store_that_is_away_is_no_damage_of_its_runs(blobs: DictBlobs, part: str) -> None:
    begun(blobs, "open").close()
    begun(blobs, "ended").finish("succeeded", {})
    failing = False

    def away(operation: str, key: str) -> None:
        nonlocal failing
        failing = failing or (operation == "get" and part in key)
        if failing:
            raise StoreError("the store does not answer")

    blobs.before = away
    with pytest.raises(StoreError, match="does not answer"):
        Catalog(blobs).runs()


def test_an_empty_store_has_no_runs(blobs: DictBlobs) -> None:
    assert Catalog(blobs).runs() == []


def test_unknown_names_say_what_to_do(blobs: DictBlobs) -> None:
    begun(blobs).close()
    catalog = Catalog(blobs)
    with pytest.raises(RunNotFoundError, match="did you mean 'r1'"):
        catalog.actions("r12")
    with pytest.raises(ActionNotFoundError, match="get actions r1"):
        catalog.action("r1", "nope")


def test_following_a_run_reads_only_what_is_new(blobs: DictBlobs) -> None:
    book = begun(blobs)
    catalog = Catalog(blobs)
    catalog.events("r1")
    book.append([success("a1")]).result(PATIENT_S)
    blobs.calls.clear()
    assert len(catalog.events("r1")) == 4
    assert blobs.calls["get"] == 1
    book.close()


def test_readers_never_see_less_than_was_acknowledged(blobs: DictBlobs) -> None:
    book = begun(blobs)
    catalog, told, done = Catalog(blobs), [0], threading.Event()
    missed: list[tuple[int, int]] = []

    def watch() -> None:
        while not done.is_set():
            least = told[0]
            found = sum(e.kind is EventKind.SUCCEEDED for e in catalog.events("r1"))
            if found < least:
                missed.append((found, least))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(60):
        book.append([success(f"b{number}")]).result(PATIENT_S)
        told[0] = number + 1
    done.set()
    watcher.join()
    assert not missed
    book.close()


def test_what_an_attempt_printed_is_found_in_the_row_or_in_its_object(blobs: DictBlobs) -> None:
    book = begun(blobs)
    key = layout.attempt_log(RunName("r1"), ActionId("a1"), 2)
    blobs.put(key, "much ✓".encode())
    book.append(
        [
            row(EventKind.RETRYING, attempt=1, attrs={"logs": "little"}),
            row(EventKind.SUCCEEDED, attempt=2, attrs={"logs_key": key}),
        ]
    ).result(PATIENT_S)
    catalog = Catalog(blobs)
    assert catalog.log_text("r1", "a1", 1) == "little"
    assert catalog.log_text("r1", "a1") == catalog.log_text("r1", "a1", 2) == "much ✓"
    assert catalog.log_text("r1", "a1", 7) == ""
    assert catalog.log_text("r1", ROOT_ACTION) == ""
    blobs.delete([key])
    assert "has been removed" in catalog.log_text("r1", "a1")
    book.close()
