"""What a host remembers of its run, and what another run can adopt from the record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.engine.adoption import adoptable
from flyte_ray.engine.memory import Known, Memory
from flyte_ray.errors import RunNotFoundError
from flyte_ray.store import layout
from flyte_ray.store.folding import Folding
from flyte_ray.store.ledger import create_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.run_file import write_run
from flyte_ray.store.segments import encode
from tests.unit.engine.scenes import run_spec
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")
ENDS = {
    "a1": (EventKind.SUCCEEDED, ActionPhase.SUCCEEDED),
    "a2": (EventKind.CACHE_HIT, ActionPhase.SUCCEEDED),
    "a3": (EventKind.RECOVERED, ActionPhase.RECOVERED),
    "a4": (EventKind.FAILED, ActionPhase.FAILED),
    "a5": (EventKind.TRACE, ActionPhase.SUCCEEDED),
    "a6": (EventKind.STARTED, ActionPhase.RUNNING),
}
ADOPTABLE = {"a1", "a2", "a3", "a5"}


def outputs_of(action: str) -> str:
    value = EncodedValue(codec="json", type="str", digest="d" * 64, size_bytes=4, inline=action)
    return Payload(values={"o0": value}).to_json()


def row(action: str, kind: EventKind, phase: ActionPhase, **more: Any) -> Event:
    return Event(
        kind=kind,
        at_us=more.pop("at_us", 1),
        action_id=ActionId(action),
        parent_id=None if action == ROOT_ACTION else ROOT_ACTION,
        task="env.step",
        phase=phase,
        outputs=outputs_of(action) if phase.is_success else None,
        **more,
    )


def rows() -> list[Event]:
    tasks = [each for each, (kind, _) in ENDS.items() if kind is not EventKind.TRACE]
    begun = [
        row(each, EventKind.SUBMITTED, ActionPhase.QUEUED, attrs={"identity": f"i-{each}"})
        for each in (ROOT_ACTION, *tasks)
    ]
    return [*begun, *(row(each, *end) for each, end in ENDS.items())]


def written(folder: Path, *, ended: bool) -> LocalBlobs:
    blobs = LocalBlobs(folder)
    book = create_book(blobs, run_spec(name=RUN), "test")
    book.append(rows()).result(30)
    if ended:
        end = row(ROOT_ACTION, EventKind.FAILED, ActionPhase.FAILED)
        last = Event(
            kind=EventKind.RUN_END, at_us=2, action_id=ROOT_ACTION, attrs={"phase": "failed"}
        )
        book.append([end, last]).result(30)
        book.finish("failed", {})
    book.close()
    if ended:
        Folding(blobs, RUN).finish(len(ENDS) + 1)
    return blobs


def found(memory: Memory) -> dict[str, Known]:
    return {known.action_id: known for known in memory}


@pytest.mark.parametrize("ended", [True, False], ids=["from its table", "from its book"])
def test_what_succeeded_in_another_run_can_be_adopted(tmp_path: Path, ended: bool) -> None:
    blobs = written(tmp_path, ended=ended)
    assert blobs.exists(layout.actions_table(RUN)) == ended
    memory = found(adoptable(blobs, RUN))
    assert set(memory) == ADOPTABLE
    assert {known.outputs for known in memory.values()} == {outputs_of(a) for a in ADOPTABLE}
    assert {known.run for known in memory.values()} == {RUN}
    assert [memory[each].identity for each in ("a1", "a2", "a3")] == ["i-a1", "i-a2", "i-a3"]
    assert [memory[each].is_trace for each in ("a1", "a5")] == [False, True]
    assert [memory[each].phase.value for each in ("a2", "a3")] == ["succeeded", "recovered"]


STORIES = st.lists(
    st.builds(
        Event,
        kind=st.sampled_from(list(EventKind)),
        at_us=st.integers(0, 9),
        action_id=st.sampled_from([ActionId("a1"), ActionId("a2")]),
        parent_id=st.sampled_from([None, ROOT_ACTION]),
        attempt=st.integers(0, 2),
        task=st.sampled_from(["", "env.step"]),
        phase=st.sampled_from([None, *ActionPhase]),
        outputs=st.sampled_from([None, outputs_of("a1")]),
        attrs=st.fixed_dictionaries(
            {}, optional={"queued_us": st.integers(0, 9), "identity": st.sampled_from("ij")}
        ),
    ),
    max_size=8,
)


@given(STORIES)
def test_the_book_in_columns_gives_what_its_events_give(events: list[Event]) -> None:
    blobs = DictBlobs()
    write_run(blobs, run_spec(name=RUN))
    for slot, event in enumerate(events):
        blobs.put(layout.segment(RUN, slot), encode([event], slot, 1))
    expected = found(Memory.successes(LogFiles(blobs, RUN).events(), RUN))
    memory = found(adoptable(blobs, RUN))
    assert {a: dataclasses.replace(known, queued_us=0) for a, known in expected.items()} == memory


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        adoptable(LocalBlobs(tmp_path), RUN)


def test_a_book_cut_off_in_mid_write_gives_what_stands_in_its_whole_segments(
    tmp_path: Path,
) -> None:
    blobs = LocalBlobs(tmp_path)
    book = create_book(blobs, run_spec(name=RUN), "test")
    for event in rows():
        book.append([event]).result(30)
    segments = sorted((tmp_path / layout.log(RUN)).rglob("*.parquet"))
    last = segments[-1]
    data = last.read_bytes()
    last.write_bytes(data[: len(data) // 2])
    assert set(found(adoptable(blobs, RUN))) == ADOPTABLE
    segments[-2].write_bytes(segments[-2].read_bytes()[:-4])
    assert set(found(adoptable(blobs, RUN))) == ADOPTABLE - {"a5"}


def test_a_row_that_was_overtaken_by_the_end_changes_nothing() -> None:
    memory = Memory(rows())
    before = memory.get(ActionId("a1"))
    assert memory.apply(row("a1", EventKind.STARTED, ActionPhase.RUNNING, attempt=1)) is None
    assert memory.get(ActionId("a1")) == before
    again = row("a1", EventKind.SUBMITTED, ActionPhase.QUEUED, at_us=9)
    assert memory.apply(again) is not None, "asked for anew, later than its success was submitted"


def test_attempts_are_counted_over_all_rows() -> None:
    memory = Memory(rows())
    memory.apply(row("a6", EventKind.STARTED, ActionPhase.RUNNING, attempt=3))
    known = memory.apply(row("a6", EventKind.RETRYING, ActionPhase.QUEUED, attempt=2))
    assert known is not None
    assert (known.attempt, known.parent_id, known.task) == (3, ROOT_ACTION, "env.step")


@pytest.mark.parametrize("kind", [EventKind.SUBMITTED, EventKind.RECOVERED, EventKind.CACHE_HIT])
def test_what_was_adopted_is_known_by_the_code_it_was_asked_for_with(
    tmp_path: Path, kind: EventKind
) -> None:
    """A recovery that was cut off holds rows of adoption alone, and is recovered itself."""
    blobs = LocalBlobs(tmp_path)
    book = create_book(blobs, run_spec(name=RUN), "test")
    first = row("a1", kind, ENDS["a3"][1], attrs={"identity": "of its code"})
    last = row("a1", *ENDS["a1"], at_us=2)
    given = [first] if kind is not EventKind.SUBMITTED else [first, last]
    book.append(given).result(30)
    for memory in (adoptable(blobs, RUN), Memory.successes(given, RUN)):
        known = memory.get(ActionId("a1"))
        assert known is not None and known.identity == "of its code"
