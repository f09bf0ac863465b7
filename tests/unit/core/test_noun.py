"""Nouns behave as frozen dataclasses do, but for the freezing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

from flyte_ray.core.noun import noun


@noun(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    y: int = 0


def test_nouns_compare_and_hash_by_their_fields() -> None:
    assert Point(x=1) == Point(x=1, y=0) != Point(x=2)
    assert len({Point(x=1), Point(x=1), Point(x=2)}) == 2


def test_nouns_are_copied_pickled_and_replaced() -> None:
    point = Point(x=1, y=2)
    assert pickle.loads(pickle.dumps(point)) == copy.copy(point) == copy.deepcopy(point) == point
    assert replace(point, y=3) == Point(x=1, y=3)


def test_nouns_have_slots_and_no_dict() -> None:
    assert not hasattr(Point(x=1), "__dict__")
