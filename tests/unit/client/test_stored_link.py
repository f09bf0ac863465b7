"""Following a run by its record: how often is looked, and that the end is heard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flyte_ray.client.stored_link import LOOKS_TAKE, POLL_S, StoredLink
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.store.ledger import BookLedger, create_book
from tests.unit.store.books import row, run_spec
from tests.unit.store.stores import DictBlobs

RUN = RunName("r1")


class Watching:
    """A link on a run in memory, a clock that its waiting and its looks move, and what happens."""

    def __init__(self) -> None:
        self.now = 0.0
        self.look_costs_s = 0.0
        self.looks: list[float] = []
        self.events: list[tuple[float, Callable[[], object]]] = []
        self.blobs = DictBlobs()
        self.book: BookLedger = create_book(self.blobs, run_spec(RUN), "test")
        self.book.append([row(EventKind.SUBMITTED, ROOT_ACTION)]).result(30)
        self.link = StoredLink(self.blobs, RUN, monotonic=lambda: self.now, sleep=self._sleep)
        self.blobs.before = self._asked

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()

    def _asked(self, operation: str, key: str) -> None:
        if operation == "list" and key.endswith("/final"):
            self.looks.append(self.now)
            self.now += self.look_costs_s


@pytest.fixture
def watching() -> Watching:
    return Watching()


def test_who_waits_looks_every_half_second_until_the_end(watching: Watching) -> None:
    watching.events.append((2.2, lambda: watching.book.finish("failed", {})))
    assert watching.link.wait()
    assert watching.now == pytest.approx(2.5)
    end = watching.link.settled()
    assert end is not None
    assert end.phase is ActionPhase.FAILED
    waited = [at_s for at_s in watching.looks if at_s < 2.5]
    assert waited == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


def test_a_wait_is_over_when_its_time_is(watching: Watching) -> None:
    assert not watching.link.wait(1.3)
    assert watching.now == pytest.approx(1.3)
    watching.book.close()


def test_waiting_for_moments_looks_no_more_often_than_waiting_for_long(
    watching: Watching,
) -> None:
    while watching.now < 3:
        assert not watching.link.wait(0.02)
    assert len(watching.looks) <= 3 / POLL_S + 1
    watching.book.close()


def test_looks_that_take_long_are_made_seldom(watching: Watching) -> None:
    watching.look_costs_s = 3.0
    assert not watching.link.wait(150.0)
    assert len(watching.looks) * watching.look_costs_s <= watching.now * LOOKS_TAKE + 3.0
    watching.book.close()
