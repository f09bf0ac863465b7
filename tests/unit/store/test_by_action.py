"""Rows of a book in the order of actions: nothing lost, whatever lies on the disk meanwhile."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import Event, EventKind
from flyte_ray.store import by_action, ending, layout, parts, tables
from flyte_ray.store.by_action import RowsByAction
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.edges import edges_of
from flyte_ray.store.final_tables import actions_table, edges_table
from flyte_ray.store.fold import fold
from flyte_ray.store.ledger import create_book
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import Pace
from flyte_ray.store.schemas import ACTIONS_VERSION, EDGES_VERSION, LOG_VERSION
from flyte_ray.store.segments import encode
from flyte_ray.store.tables import read_table
from tests.unit.store.books import ONE, row, run_spec
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
PATIENT_S = 30


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Four actions a turn, and nothing may stay in memory; the folder of temporary files."""
    monkeypatch.setattr(by_action, "ACTIONS_A_TURN", 4)
    monkeypatch.setattr(by_action, "HELD_BYTES", 100)
    monkeypatch.setattr(parts, "ROWS_A_PART", 10)
    monkeypatch.setattr(tables, "_BYTES_IN_MEMORY", 100)
    monkeypatch.setattr(ending, "EDGES_A_TURN", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def shuffled(actions: int, seed: int) -> list[Event]:
    """Rows of many actions, retried and resubmitted and in disorder, as many hands write them."""
    chance = random.Random(seed)
    events = [row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json())]
    pending: list[list[Event]] = []
    for number in range(actions):
        name = f"b{number}"
        attrs = {"started_us": number + 1, "ended_us": number + 2, "node": "n", "logs": "hello"}
        done = row(
            EventKind.SUCCEEDED, name, attempt=1, outputs=ONE.to_json(), attrs=attrs, at_us=9
        )
        story = [row(EventKind.SUBMITTED, name, inputs=ONE.to_json(), attrs={"identity": "i"})]
        if chance.random() < 0.3:
            story += [
                row(EventKind.STARTED, name, attempt=1, attrs={"node": "m"}),
                row(EventKind.RETRYING, name, attempt=1, error='{"code":"E","message":"no"}'),
            ]
        if chance.random() < 0.9:
            story.append(done)
        pending.append(story)
    while pending:
        story = chance.choice(pending[:6])
        events.append(story.pop(0))
        if not story:
            pending.remove(story)
    return events


@pytest.mark.parametrize("seed", range(5))
def test_actions_are_told_in_turns_from_the_disk_as_from_memory(narrow: Path, seed: int) -> None:
    events = shuffled(30, seed)
    with RowsByAction() as rows:
        for start in range(0, len(events), 7):
            rows.add(read_table(encode(events[start : start + 7], start, 1), LOG_VERSION).table)
        assert list(narrow.iterdir()), "something lies on the disk"
        turns = list(rows.actions())
    assert max(map(len, turns)) <= 4
    assert {each.action_id: each for some in turns for each in some} == fold(events)
    assert list(rows.places) == list(fold(events))
    assert list(narrow.iterdir()) == []


def test_the_tables_of_a_run_in_turns_are_those_of_the_run_at_once(narrow: Path) -> None:
    blobs = DictBlobs()
    book = create_book(blobs, run_spec(), "test", pace=Pace(gap_per_leaf_s=0))
    for event in shuffled(30, 1):
        book.append([event]).result(PATIENT_S)
    book.finish("succeeded", {})
    whole = fold(LogFiles(blobs, RUN).events())
    done = compact_run(blobs, RUN)
    assert done.parts > 2
    actions = read_table(blobs.objects[layout.actions_table(RUN)], ACTIONS_VERSION).table
    assert actions.to_pylist() == actions_table(RUN, whole).to_pylist()
    edges = read_table(blobs.objects[layout.edges_table(RUN)], EDGES_VERSION).table
    assert edges.num_rows == len(list(edges_of(RUN, whole))) > 0
    assert edges.to_pylist() == edges_table(RUN, whole).to_pylist()
    assert fold(LogFiles(blobs, RUN).events()) == whole
    assert list(narrow.iterdir()) == []


def test_columns_of_a_later_release_are_passed_over() -> None:
    table = read_table(encode(shuffled(3, 1), 0, 1), LOG_VERSION).table
    later = table.append_column("mood", pa.array(["fine"] * table.num_rows)).drop(["error"])
    with RowsByAction() as rows:
        rows.add(later)
        assert sum(map(len, rows.actions())) == 4


def test_texts_that_are_no_single_json_are_refused() -> None:
    bad = row(EventKind.SUCCEEDED, "b", attempt=1)
    table = read_table(encode([bad, bad], 0, 1), LOG_VERSION).table
    place = table.column_names.index("attrs")
    with RowsByAction() as rows:
        rows.add(table.set_column(place, "attrs", pa.array(["{},{}", None])))
        with pytest.raises(ValueError, match="more than one value"):
            list(rows.actions())
