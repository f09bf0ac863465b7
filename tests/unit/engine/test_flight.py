"""A run's claims: who computes, who is told to ask again, and which result goes into the book."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.payload import EMPTY
from flyte_ray.core.ports import Blobs
from flyte_ray.engine.flight import Flights
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.leases import Leases, Result
from flyte_ray.store.liveness import Liveness, WatchPace
from flyte_ray.testing.faults import FaultyBlobs
from tests.unit.store.stores import DictBlobs

PACE = WatchPace(look_s=0.0, ttl_s=1e9, poll_s=0.0)
KEY = "k" * 64


def flights(blobs: Blobs, run: str = "r1", epoch: int = 1) -> Flights:
    return Flights(blobs, RunName(run), epoch, pace=PACE)


def question(action: str = "a1", **changes: Any) -> Question:
    asked = Question(action_id=ActionId(action), task="env.step", cache_key=KEY, serialize=True)
    return replace(asked, parent_id=ActionId("p1"), **changes)


def ask(who: Flights, action: str = "a1") -> Answer | None:
    (answer,) = who.ask([question(action)], lambda question, result: True)
    return answer


def row(kind: EventKind, action: str = "a1", outputs: str | None = None) -> Event:
    return Event(
        kind=kind,
        at_us=1,
        action_id=ActionId(action),
        task="env.step",
        phase=ActionPhase(kind.value),
        cache_key=KEY,
        outputs=outputs,
    )


def landed(who: Flights, events: Sequence[Event]) -> list[Event]:
    others, landing = who.landing(events)
    assert not others
    assert landing is not None
    return landing.result(timeout=30)


def test_the_first_action_computes_and_others_of_the_run_ask_again() -> None:
    mine = flights(DictBlobs())
    assert ask(mine, "a1") is None
    held = ask(mine, "a2")
    assert held is not None
    assert held.is_held
    assert held.source_action == "a1"
    assert ask(mine, "a1") is None, "the holder may ask as often as it likes"


def test_a_success_is_the_result_for_everybody_and_stands_as_it_is() -> None:
    blobs = DictBlobs()
    mine, other = flights(blobs), flights(blobs, "r2")
    ask(mine)
    held = ask(other)
    assert held is not None
    assert held.is_held
    success = row(EventKind.SUCCEEDED, outputs=EMPTY.to_json())
    assert landed(mine, [success]) == [success]
    answer = ask(other)
    assert answer is not None
    assert (answer.source, answer.source_run, answer.source_action) == ("cache", "r1", "a1")


def test_a_run_that_computes_for_others_shows_that_it_lives() -> None:
    blobs = DictBlobs()
    beaten = threading.Event()

    def hear(operation: str, key: str) -> None:
        if key == layout.heartbeat(RunName("r1")):
            beaten.set()

    blobs.after = hear
    assert ask(flights(blobs)) is None
    assert beaten.wait(30)


def test_rows_that_end_no_flight_wait_for_nothing() -> None:
    mine = flights(DictBlobs())
    assert mine.landing([row(EventKind.SUCCEEDED)])[1] is None
    ask(mine)
    assert mine.landing([row(EventKind.SUCCEEDED, "another")])[1] is None
    assert mine.landing([replace(row(EventKind.SUCCEEDED), kind=EventKind.STARTED)])[1] is None


def test_a_result_that_comes_after_a_takeover_gives_way_to_the_one_that_counts() -> None:
    blobs = DictBlobs()
    late = flights(blobs, "r1")
    ask(late)
    heir = Leases(blobs, "r1", 2, Liveness(blobs, PACE))  # the run's next owner
    claim = heir.claim(KEY, "a1", lambda _: True)
    assert not isinstance(claim, Result)
    assert heir.finish(claim, '{"the":"right"}', 1)  # type: ignore[arg-type]
    (event,) = landed(late, [row(EventKind.SUCCEEDED, outputs='{"the":"late"}')])
    assert event.outputs == '{"the":"right"}'
    assert event.attrs["superseded_by"] == "r1/a1"


@pytest.mark.parametrize("kind", [EventKind.FAILED, EventKind.ABORTED, EventKind.TIMED_OUT])
def test_what_ends_without_a_result_gives_its_key_up(kind: EventKind) -> None:
    blobs = DictBlobs()
    mine = flights(blobs)
    ask(mine)
    mine._in_background = lambda work: work()  # type: ignore[method-assign]
    assert mine.landing([row(kind)])[1] is None
    assert ask(flights(blobs, "r2")) is None


def test_care_gives_up_what_nobody_drives_and_the_end_of_the_run_everything() -> None:
    blobs = DictBlobs()
    mine = flights(blobs)
    ask(mine)
    mine.sweep(lambda action: False)
    assert ask(flights(blobs, "r2")) is not None
    mine.sweep(lambda action: action == "p1")
    assert ask(flights(blobs, "r2")) is not None, "the parent may be about to run once more"
    mine.sweep(lambda action: action == "p1")
    other = flights(blobs, "r2")
    assert ask(other) is None
    other.close()
    assert ask(flights(blobs, "r3")) is None


def test_a_store_that_is_away_while_claiming_leaves_the_key_to_be_asked_for_again() -> None:
    blobs = DictBlobs()
    mine = flights(blobs)

    def lose(operation: str, key: str) -> None:
        if operation == "put_new":
            raise OSError("the reply was lost")

    blobs.after = lose
    with pytest.raises(OSError, match="lost"):
        ask(mine)
    blobs.after = lambda operation, key: None
    assert ask(mine) is None
    assert len(blobs.list(cache_layout.flight(KEY))) == 2


def test_rows_that_wait_for_no_result_go_ahead_of_those_that_do() -> None:
    mine = flights(DictBlobs())
    ask(mine)
    success = row(EventKind.SUCCEEDED, outputs=EMPTY.to_json())
    plain = row(EventKind.SUCCEEDED, "another")
    others, landing = mine.landing([success, plain])
    assert list(others) == [plain]
    assert landing is not None
    assert landing.result(timeout=30) == [success]


@pytest.mark.parametrize("wish", [FaultyBlobs.fail, FaultyBlobs.lose_reply])
def test_a_result_waits_for_a_store_that_is_away(wish: Callable[..., None]) -> None:
    store = FaultyBlobs(DictBlobs())
    mine = flights(store)
    assert ask(mine) is None
    wish(store, "put_new", part="flight", times=2)
    success = row(EventKind.SUCCEEDED, outputs=EMPTY.to_json())
    assert landed(mine, [success]) == [success]
    answer = ask(flights(store, "r2"))
    assert answer is not None
    assert answer.source_run == "r1"
