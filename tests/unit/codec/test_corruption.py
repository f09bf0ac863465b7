"""Corrupt, truncated and vanished data is never handed over."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest

from flyte_ray.core.payload import EncodedValue
from flyte_ray.errors import DigestMismatchError, StoreError, TypeTransformerFailedError
from flyte_ray.io import HashFunction
from tests.unit.codec.values import CODECS, MemoryValues, Opaque, Point, encode

HASHED = Annotated[int, HashFunction.from_fn(lambda value: str(value))]
INLINE = [
    (1, int),
    ("text", str),
    ({"a": [1, 2]}, dict),
    (Point(1), Point),
    (b"ab", bytes),
    (b"x" * 6000, bytes),
    (np.arange(3), np.ndarray),
    (pa.table({"a": [1]}), pa.Table),
    (Opaque(1), Opaque),
    (7, HASHED),
]
LARGE = [
    ("x" * 20_000, str),
    (list(range(20_000)), list[int]),
    (b"x" * 20_000, bytes),
    (np.arange(10_000), np.ndarray),
    (pa.table({"a": np.random.default_rng(0).random(10_000)}), pa.Table),
    (Opaque("x" * 20_000), Opaque),
]


def change(text: str, place: int) -> str:
    """The text with another character (of its own alphabet) at a place."""
    other = "0" if text[place] != "0" else "1"
    return text[:place] + other + text[place + 1 :]


@pytest.mark.parametrize(("value", "type_"), INLINE, ids=lambda each: type(each).__name__)
def test_a_changed_inline_value_is_never_handed_over(value: Any, type_: Any) -> None:
    store = MemoryValues()
    encoded = encode(value, type_, store)
    assert encoded.inline is not None
    for place in range(0, len(encoded.inline), max(1, len(encoded.inline) // 37)):
        changed = replace(encoded, inline=change(encoded.inline, place))
        with pytest.raises(DigestMismatchError):
            CODECS.decode_one(changed, type_, store)


def test_a_changed_leaf_of_a_container_is_an_error_or_harmless() -> None:
    store = MemoryValues()
    encoded = encode([np.arange(3)], list, store)
    assert encoded.inline is not None
    for place in range(len(encoded.inline)):
        changed = replace(encoded, inline=change(encoded.inline, place))
        try:
            back = CODECS.decode_one(changed, list, store)
        except (StoreError, TypeTransformerFailedError):
            continue
        assert np.array_equal(back[0], np.arange(3))


@pytest.mark.parametrize(("value", "type_"), INLINE[1:], ids=lambda each: type(each).__name__)
def test_a_truncated_inline_value_is_never_handed_over(value: Any, type_: Any) -> None:
    store = MemoryValues()
    encoded = encode(value, type_, store)
    assert encoded.inline is not None
    for end in (0, 1, len(encoded.inline) // 2, len(encoded.inline) - 1):
        with pytest.raises(DigestMismatchError):
            CODECS.decode_one(replace(encoded, inline=encoded.inline[:end]), type_, store)


@pytest.mark.parametrize(("value", "type_"), LARGE, ids=lambda each: type(each).__name__)
def test_a_changed_or_truncated_object_is_never_handed_over(value: Any, type_: Any) -> None:
    store = MemoryValues()
    encoded = encode(value, type_, store)
    assert encoded.key is not None
    good = store.objects[encoded.key]
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    for bad in (flipped, good[:-1], good[:middle], b"", good + b"x"):
        store.objects[encoded.key] = bad
        with pytest.raises(DigestMismatchError, match="corrupt"):
            CODECS.decode_one(encoded, type_, store)


def test_a_vanished_object_is_reported_with_its_key() -> None:
    store = MemoryValues()
    encoded = encode(np.arange(10_000), np.ndarray, store)
    store.objects.clear()
    with pytest.raises(StoreError, match="gone from the store: there is no object 'runs/r/"):
        CODECS.decode_one(encoded, np.ndarray, store)


def test_a_forged_pickle_is_not_loaded() -> None:
    loaded = []

    class Bomb:
        def __reduce__(self) -> Any:
            return loaded.append, (1,)

    store = MemoryValues()
    encoded = encode(Opaque("x" * 20_000), Opaque, store)
    assert encoded.key is not None
    store.objects[encoded.key] = pickle.dumps(Bomb())
    with pytest.raises(DigestMismatchError):
        CODECS.decode_one(encoded, Opaque, store)
    assert loaded == []


def test_the_digest_of_another_value_is_noticed() -> None:
    one, other = encode(1, int), encode(2, int)
    forged = EncodedValue.from_dict({**one.to_dict(), "digest": other.digest})
    with pytest.raises(DigestMismatchError):
        CODECS.decode_one(forged, int, MemoryValues())
