"""The digest of an element is that of the same value by itself, so that lists join their parts."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from flyte_ray.codec.elements import MOST_ELEMENTS, element_digests
from tests.unit.codec.values import Color, MemoryValues, Person, Point, encode

ITEMS = [1, "a", 2.5, None, True, [2], {"k": 1}, date(2024, 1, 1), np.arange(3)]


@pytest.mark.parametrize(
    ("container", "type_", "parts", "part_type"),
    [
        (ITEMS, Any, ITEMS, Any),
        (tuple(ITEMS), Any, ITEMS, Any),
        (dict(enumerate(ITEMS)), Any, ITEMS, Any),
        ([Point(1), Point(2)], list[Point], [Point(1), Point(2)], Point),
        ([Person(name="a")], list[Person], [Person(name="a")], Person),
        ({"a": Point(1)}, dict[str, Point], [Point(1)], Point),
        ({"a": 1.5}, dict[str, float], [1.5], float),
        ((Point(1), 3), tuple[Point, int], [Point(1), 3], Any),
        ((Point(1),), tuple[Point, ...], [Point(1)], Point),
        ([Point(1), None], list[Point | None], [Point(1), None], Point | None),
        ([[1, 2], [3]], list[list[int]], [[1, 2], [3]], list[int]),
        ([Color.RED], list[Color], [Color.RED], Color),
        ([date(2024, 1, 1)], list[date], [date(2024, 1, 1)], date),
        ([np.arange(3)], list[np.ndarray], [np.arange(3)], Any),
    ],
)
def test_elements_have_the_digests_of_values_of_their_own(
    container: Any, type_: Any, parts: list[Any], part_type: Any
) -> None:
    found = element_digests(encode(container, type_), MemoryValues())
    assert list(found.values()) == [encode(part, part_type).digest for part in parts]


def test_paths_say_where_an_element_stands() -> None:
    store = MemoryValues()
    assert list(element_digests(encode([1, 2]), store)) == ["[0]", "[1]"]
    assert list(element_digests(encode({"k": 1}), store)) == ["['k']"]
    assert list(element_digests(encode(Point(1)), store)) == [".x", ".y"]


def test_large_containers_are_read_from_the_store() -> None:
    store = MemoryValues()
    texts = [f"{number:06d}" * 10 for number in range(1000)]
    value = encode(texts, list[str], store)
    assert value.key is not None
    assert element_digests(value, store)["[999]"] == encode(texts[999]).digest


def test_what_has_no_elements_has_none() -> None:
    store = MemoryValues()
    for value in (1, "text", np.arange(3), [0] * (MOST_ELEMENTS + 1)):
        assert element_digests(encode(value, Any, store), store) == {}


def test_a_value_that_is_gone_has_no_elements() -> None:
    value = encode(["x" * 20_000], list[str], MemoryValues())
    assert element_digests(value, MemoryValues()) == {}
