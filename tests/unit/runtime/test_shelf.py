"""The host's shelf: references to fast copies, bounded in bytes, time, and by their runs."""

from __future__ import annotations

import pytest

from flyte_ray.runtime.shelf import UNASKED_S, Shelf


class Moment:
    def __init__(self) -> None:
        self.now = 100.0
        self.room = 100.0
        self.shelf = Shelf(lambda: self.room, lambda: self.now)

    def put(self, key: str, size: int = 30, run: str = "r1") -> bool:
        return self.shelf.put(run, key, [f"ref of {key}"], size)

    def keys(self) -> str:
        return "".join(key for key in "abcdef" if self.shelf.get(key) is not None)


@pytest.fixture
def at() -> Moment:
    return Moment()


def test_a_reference_is_found_by_its_key(at: Moment) -> None:
    at.put("a")
    assert at.shelf.get("a") == (["ref of a"], 30)
    assert at.shelf.get("b") is None


def test_those_asked_for_last_stay_when_room_runs_out(at: Moment) -> None:
    for key in "abc":
        at.put(key)
    at.shelf.get("a")
    at.put("d")
    assert at.keys() == "acd"


def test_one_that_is_put_again_counts_once(at: Moment) -> None:
    for _ in range(10):
        at.put("a")
    at.put("b"), at.put("c")
    assert at.keys() == "abc"


def test_one_that_has_no_room_at_all_is_refused_and_pushes_nothing_off(at: Moment) -> None:
    at.put("a")
    assert not at.put("b", size=101)
    assert at.keys() == "a"


def test_a_shelf_shrinks_with_its_cluster(at: Moment) -> None:
    for key in "abc":
        at.put(key)
    at.room = 50
    at.put("d", size=10)
    assert at.keys() == "cd"


def test_references_go_with_their_run(at: Moment) -> None:
    at.put("a", run="r1"), at.put("b", run="r2"), at.put("c", run="r1")
    at.shelf.drop_run("r1")
    assert at.keys() == "b"
    assert at.put("d", size=70), "their room is free again"
    assert at.keys() == "bd"


def test_what_nobody_asks_for_goes_after_a_while(at: Moment) -> None:
    at.put("a"), at.put("b")
    at.now += UNASKED_S - 1
    at.shelf.get("a")
    at.now += 2
    at.shelf.drop_unasked()
    assert len(at.shelf) == 1
    assert at.keys() == "a"
