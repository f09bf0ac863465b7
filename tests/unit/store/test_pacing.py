from __future__ import annotations

import random

import pytest

from flyte_ray.core.model import EventKind
from flyte_ray.store.pacing import LOCAL, REMOTE, LeavesUnderWay, Pace, SlotWindow, pace_for
from tests.unit.store.books import row
from tests.unit.store.stores import DictBlobs


def test_a_window_gives_so_many_slots_ahead_of_the_lowest_open_one() -> None:
    window = SlotWindow(10, 3)
    assert [window.take() for _ in range(3)] == [10, 11, 12]
    assert not window.is_open
    window.settle(11)
    window.settle(12)
    assert not window.is_open  # slot 10 may still be anybody's
    window.settle(10)
    assert [window.take() for _ in range(3)] == [13, 14, 15]
    assert not window.is_open


def test_a_window_wider_than_openers_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="window must be 1 to 4"):
        Pace(window=5)


def test_remote_stores_get_a_window_and_hedges() -> None:
    assert pace_for(DictBlobs("gs://bucket")) is REMOTE
    assert pace_for(DictBlobs("/a/path")) is LOCAL


def test_a_parent_that_waits_for_children_is_no_leaf() -> None:
    leaves = LeavesUnderWay()
    leaves.see([row(EventKind.SUBMITTED, "a0")])
    assert leaves.count == 1
    leaves.see([row(EventKind.SUBMITTED, "a1"), row(EventKind.SUBMITTED, "a2")])
    assert leaves.count == 2
    leaves.see([row(EventKind.SUCCEEDED, "a1"), row(EventKind.FAILED, "a2")])
    assert leaves.count == 1
    leaves.see([row(EventKind.SUCCEEDED, "a0")])
    assert leaves.count == 0


def test_leaves_are_counted_rightly_in_whatever_order_events_come() -> None:
    rng = random.Random(7)
    for _ in range(200):
        leaves, under_way, overtaken = LeavesUnderWay(), {}, set()
        for _ in range(60):
            action, parent = f"a{rng.randrange(8)}", f"a{rng.randrange(8)}"
            if rng.random() < 0.6:
                event = row(EventKind.SUBMITTED, action, parent_id=parent)
                if action in overtaken:
                    overtaken.discard(action)
                else:
                    under_way.setdefault(action, parent)
            else:
                event = row(EventKind.SUCCEEDED, action)
                if under_way.pop(action, None) is None:
                    overtaken.add(action)
            leaves.see([event])
            assert leaves.count == len(under_way.keys() - set(under_way.values()))
