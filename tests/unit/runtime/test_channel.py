"""From a worker to its host: batches, answers, notes that ride along, and hosts that are away."""

from __future__ import annotations

import pickle
from concurrent.futures import Future
from typing import Any

import pytest

from flyte_ray.core.calls import Question
from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import Event, EventKind
from flyte_ray.errors import FencedError, StoreError
from flyte_ray.runtime.channel import LONGEST_BATCH, OUTSTANDING, HostChannel
from flyte_ray.runtime.wire_book import unpack_events

WAIT_S = 20


class FakeLine:
    """Keeps what is sent; the test replies."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[Any], Future[bytes]]] = []

    def send(self, data: bytes) -> Future[bytes]:
        reply: Future[bytes] = Future()
        self.sent.append((pickle.loads(data), reply))
        return reply

    def entries(self, number: int) -> list[tuple[str, str, bool, int]]:
        """(what, run, awaited, count) of a batch."""
        return [
            (what, run, awaited, len(items)) for what, run, awaited, items in self.batch(number)
        ]

    def batch(self, number: int) -> list[Any]:
        return self.sent[number][0]

    def reply(self, number: int, *answers: Any) -> None:
        self.sent[number][1].set_result(pickle.dumps(list(answers)))


class Deaf(FakeLine):
    """Cannot reach the host the first time."""

    def send(self, data: bytes) -> Future[bytes]:
        reply = super().send(data)
        if len(self.sent) == 1:
            reply.set_exception(ConnectionError("between two lives"))
        else:
            self.reply(len(self.sent) - 1, *[None] * len(self.batch(-1)))
        return reply


def event(name: str) -> Event:
    return Event(kind=EventKind.STARTED, at_us=1, action_id=ActionId(name))


def ask(name: str) -> Question:
    return Question(action_id=ActionId(name), task="env.step")


def test_a_row_is_acknowledged_when_the_host_has_replied() -> None:
    line = FakeLine()
    done = HostChannel(line).record("r1", [event("a1")])
    assert line.entries(0) == [("events", "r1", True, 1)]
    assert not done.done()
    line.reply(0, None)
    assert done.result(WAIT_S) is None


def test_what_gathers_meanwhile_goes_together() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    futures = [channel.record("r1", [event(f"a{n}")]) for n in range(OUTSTANDING + 5)]
    assert len(line.sent) == OUTSTANDING
    line.reply(0, None)
    assert line.entries(OUTSTANDING) == [("events", "r1", True, 5)]
    line.reply(OUTSTANDING, None)
    line.reply(1, None)
    assert all(future.result(WAIT_S) is None for future in futures)


def fill(channel: HostChannel) -> None:
    """Take up all exchanges, so that what comes next gathers."""
    for number in range(OUTSTANDING):
        channel.record("busy", [event(f"b{number}")])


def test_rows_keep_their_order_and_each_question_gets_its_own_answer() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    fill(channel)
    channel.note("r1", [event("n1")])
    first = channel.look_up("r1", [ask("q1")])
    rows = channel.record("r1", [event("e1"), event("e2")])
    other = channel.record("r2", [event("x1")])
    line.reply(0, None)
    assert line.entries(OUTSTANDING) == [
        ("events", "r1", True, 3),
        ("events", "r2", True, 1),
        ("questions", "r1", True, 1),
    ]
    names = [row.action_id for row in unpack_events(line.batch(OUTSTANDING)[0][3])]
    assert names == ["n1", "e1", "e2"]
    line.reply(OUTSTANDING, None, FencedError("replaced"), [None])
    assert rows.result(WAIT_S) is None
    assert first.result(WAIT_S) == [None]
    with pytest.raises(FencedError, match="replaced"):
        other.result(WAIT_S)


def test_a_note_leaves_by_itself_and_is_not_awaited() -> None:
    class Waking(FakeLine):
        def __init__(self) -> None:
            super().__init__()
            self.woken: Future[None] = Future()

        def send(self, data: bytes) -> Future[bytes]:
            reply = super().send(data)
            self.woken.set_result(None)
            return reply

    line = Waking()
    HostChannel(line).note("r1", [event("n1")])
    line.woken.result(WAIT_S)
    assert line.entries(0) == [("events", "r1", False, 1)]


def test_a_batch_has_an_end() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    fill(channel)
    futures = [channel.record("r1", [event("e")]) for _ in range(LONGEST_BATCH + 1)]
    line.reply(0, None)
    assert line.entries(OUTSTANDING) == [("events", "r1", True, LONGEST_BATCH)]
    line.reply(1, None)
    assert line.entries(OUTSTANDING + 1) == [("events", "r1", True, 1)]
    line.reply(OUTSTANDING, None)
    line.reply(OUTSTANDING + 1, None)
    assert all(future.result(WAIT_S) is None for future in futures)


def test_a_batch_is_measured_in_rows() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    fill(channel)
    half = [event("e")] * (LONGEST_BATCH // 2 + 1)
    for _ in range(3):
        channel.record("r1", half)
    channel.record("r1", [event("e")] * (LONGEST_BATCH + 1))
    for number in range(4):
        line.reply(number, None)
    assert [line.entries(OUTSTANDING + n)[0][3] for n in range(4)] == [
        len(half),
        len(half),
        len(half),
        LONGEST_BATCH + 1,
    ]


def test_notes_stay_between_the_rows_they_were_handed_in_between() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    fill(channel)
    for name in ("n1", "n2"):
        channel.note("r1", [event(name)])
    channel.record("r1", [event("e1")])
    channel.note("r1", [event("n3")])
    channel.note("r2", [event("x1")])
    channel.note("r1", [event("n4")])
    line.reply(0, None)
    by_run = {run: unpack_events(rows) for _, run, _, rows in line.batch(OUTSTANDING)}
    assert [row.action_id for row in by_run["r1"]] == ["n1", "n2", "e1", "n3", "n4"]
    assert [row.action_id for row in by_run["r2"]] == ["x1"]


def test_a_host_that_is_away_is_asked_again_with_the_same_rows() -> None:
    line = Deaf()
    assert HostChannel(line).record("r1", [event("a1")]).result(WAIT_S) is None
    assert line.batch(0) == line.batch(1)


def test_any_other_failure_of_the_line_is_told_to_whoever_waits() -> None:
    line = FakeLine()
    channel = HostChannel(line)
    done = channel.record("r1", [event("a1")])
    line.sent[0][1].set_exception(ValueError("garbled"))
    with pytest.raises(StoreError, match="--recover"):
        done.result(WAIT_S)
    later = channel.record("r1", [event("a2")])
    line.reply(1, None)
    assert later.result(WAIT_S) is None
