"""Who says that attempts have begun, and of which."""

from __future__ import annotations

from dataclasses import replace

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import EventKind, Place
from flyte_ray.engine.announcing import AFTER_S, Announcer
from tests.unit.engine.scenes import MemoryBook, attempt, run_spec


class Watch:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.book = MemoryBook()
        self.announcer = Announcer(self.book, Place(node="n", pid=7), now=lambda: self.now_s)

    def begin(self, name: str, run: str = "r1") -> int:
        spec = attempt(action_id=ActionId(name), run=run_spec(name=RunName(run)))
        return self.announcer.begin(replace(spec, attempt=2))

    def after(self, seconds: float) -> list[str]:
        self.now_s += seconds
        self.announcer.look()
        return [event.action_id for event in self.book.events]


def test_an_attempt_that_lasts_is_told_of_once() -> None:
    watch = Watch()
    watch.begin("a1")
    assert watch.after(AFTER_S / 2) == []
    assert watch.after(AFTER_S) == ["a1"]
    assert watch.after(AFTER_S) == ["a1"]
    (event,) = watch.book.events
    assert (event.kind, event.attempt) == (EventKind.STARTED, 2)
    assert event.attrs == {"node": "n", "worker": "", "pid": 7}


def test_one_that_ends_before_that_is_never_told_of() -> None:
    watch = Watch()
    short, _ = watch.begin("short"), watch.begin("long")
    watch.announcer.end(short)
    assert watch.after(2 * AFTER_S) == ["long"]


def test_ending_one_that_was_told_of_changes_nothing() -> None:
    watch = Watch()
    number = watch.begin("a1")
    watch.after(2 * AFTER_S)
    watch.announcer.end(number)
    assert watch.after(2 * AFTER_S) == ["a1"]


def test_attempts_are_told_of_in_the_order_in_which_they_began() -> None:
    watch = Watch()
    watch.begin("a1")
    watch.begin("b1", run="r2")
    watch.after(AFTER_S / 2)
    watch.begin("a2")
    assert watch.after(AFTER_S / 2) == ["a1", "b1"]
    assert watch.after(AFTER_S / 2) == ["a1", "b1", "a2"]


def test_the_root_of_a_run_is_told_of_at_once() -> None:
    watch = Watch()
    root = replace(attempt(action_id=ActionId("a0")), parent_id=None)
    watch.announcer.end(watch.announcer.begin(root))
    assert [event.action_id for event in watch.book.events] == ["a0"]
    assert watch.after(2 * AFTER_S) == ["a0"]
