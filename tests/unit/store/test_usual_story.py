"""The short way to an action's record says what the long way says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.store.by_action import RowsByAction
from flyte_ray.store.fold import fold
from flyte_ray.store.schemas import LOG_VERSION
from flyte_ray.store.segments import encode
from flyte_ray.store.tables import read_table
from flyte_ray.store.usual_story import Row, usual
from tests.unit.store.books import ONE

A = ActionId("a1")
PHASES = st.sampled_from([None, *ActionPhase])
ATTRS = st.dictionaries(
    st.sampled_from(
        ["started_us", "ended_us", "queued_us", "node", "worker", "pid", "logs", "logs_key", "x"]
    ),
    st.integers(0, 50),
    max_size=5,
)
STORIES = st.lists(
    st.builds(
        Event,
        kind=st.sampled_from(
            [kind for kind in EventKind if kind not in (EventKind.EPOCH, EventKind.FENCE)]
        ),
        at_us=st.integers(0, 50),
        action_id=st.just(A),
        parent_id=st.sampled_from([None, ActionId("a0"), ActionId("p")]),
        attempt=st.integers(0, 2),
        task=st.sampled_from(["", "env.step"]),
        phase=PHASES,
        cache_key=st.sampled_from([None, "k"]),
        inputs=st.sampled_from([None, ONE.to_json()]),
        outputs=st.sampled_from([None, ONE.to_json()]),
        error=st.sampled_from([None, '{"code":"E"}']),
        attrs=ATTRS,
    ),
    min_size=1,
    max_size=4,
)


def stored(event: Event) -> Row:
    return Row(
        event.kind.value,
        event.at_us,
        event.parent_id,
        event.attempt,
        event.task,
        event.phase and event.phase.value,
        event.cache_key,
        event.inputs,
        event.outputs,
        event.error,
        event.attrs,
    )


def told(*kinds: EventKind) -> bool:
    rows = [stored(Event(kind=kind, at_us=1, action_id=A, attempt=1)) for kind in kinds]
    return usual(A, rows) is not None


@given(STORIES)
def test_the_short_way_agrees_with_the_long_one(events: list[Event]) -> None:
    events = [event for event in events if event.kind is not EventKind.RUN_END]
    if events and (found := usual(A, [stored(event) for event in events])) is not None:
        assert fold(events) == {A: found}


@given(STORIES)
def test_rows_as_they_are_stored_tell_what_the_events_told(events: list[Event]) -> None:
    with RowsByAction() as rows:
        rows.add(read_table(encode(events, 0, 1), LOG_VERSION).table)
        found = {each.action_id: each for some in rows.actions() for each in some}
    assert found == fold(events)


@pytest.mark.parametrize(
    "end",
    [EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CACHE_HIT, EventKind.RECOVERED,
     EventKind.TIMED_OUT, EventKind.ABORTED, EventKind.TRACE],
)  # fmt: skip
def test_the_usual_stories_go_the_short_way(end: EventKind) -> None:
    assert told(end)
    assert told(EventKind.SUBMITTED, end)
    assert told(EventKind.STARTED, end)
    assert told(EventKind.SUBMITTED, EventKind.STARTED, end)


@pytest.mark.parametrize(
    "kinds",
    [
        (EventKind.SUBMITTED,),
        (EventKind.SUBMITTED, EventKind.STARTED),
        (EventKind.SUBMITTED, EventKind.RETRYING, EventKind.SUCCEEDED),
        (EventKind.SUCCEEDED, EventKind.ABORTED),
        (EventKind.SUCCEEDED, EventKind.STARTED),
        (EventKind.CONDITION,),
    ],
)
def test_every_other_story_goes_the_long_way(kinds: tuple[EventKind, ...]) -> None:
    assert not told(*kinds)
