"""Elements for whole runs: the same as one by one, and never more than the limits allow."""

from __future__ import annotations

from typing import Any

import pytest

from flyte_ray.codec import insides
from flyte_ray.codec.insides import Insides, parts_of
from flyte_ray.core.payload import EncodedValue


class Shelf:
    """A `ValueStore` that counts what is asked of it."""

    def __init__(self, **values: str) -> None:
        self._values = values
        self.reads = 0

    def put(self, digest: str, codec: str, *parts: bytes | bytearray | memoryview) -> str:
        raise NotImplementedError

    def get(self, key: str) -> bytes:
        self.reads += 1
        if key not in self._values:
            raise FileNotFoundError(key)
        return self._values[key].encode()


def numbers(text: str, **fields: Any) -> EncodedValue:
    given = {"codec": "json", "type": "list[int]", "digest": text, "size_bytes": len(text)}
    return EncodedValue(**{**given, "inline": text, **fields})


def test_elements_are_those_of_the_value_itself() -> None:
    value = numbers("[1,2]")
    assert list(Insides(Shelf())(value.to_dict())) == list(parts_of(value, Shelf()))
    assert [path for path, _, _ in Insides(Shelf())(value.to_dict())] == ["[0]", "[1]"]


def test_large_containers_are_read_once_and_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insides, "MOST_READS", 2)
    shelf = Shelf(a="[1]", b="[2]", c="[3]")
    inside = Insides(shelf)
    values = [numbers(name, inline=None, key=name) for name in "aabbc"]
    assert [len(inside(value.to_dict())) for value in values] == [1, 1, 1, 1, 0]
    assert shelf.reads == 2


def test_no_more_is_looked_at_when_there_were_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insides, "MOST_IN_ALL", 3)
    inside = Insides(Shelf())
    values = [numbers(text) for text in ("[1,2]", "[3,4]", "[5]")]
    assert [len(inside(value.to_dict())) for value in values] == [2, 2, 0]


def test_what_is_too_large_gone_or_no_plain_container_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(insides, "LARGEST_BYTES", 10)
    inside = Insides(Shelf())
    for value in (
        numbers("[1,2,3,4,5]"),
        numbers("x", inline=None, key="gone"),
        numbers("[1]", codec="npy"),
        numbers("7", type="int"),
    ):
        assert list(inside(value.to_dict())) == []


def test_few_values_are_remembered() -> None:
    inside = Insides(Shelf())
    for number in range(1000):
        inside(numbers(f"[{number}]").to_dict())
    assert len(inside._known) < 100
