"""A fast copy spares reading the store; without one, the store has every value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flyte_ray.codec.own_memory import WORTH_MAPPING_BYTES
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.errors import DigestMismatchError
from tests.unit.codec.values import Opaque, Point, SharingValues

SIZE = WORTH_MAPPING_BYTES
VALUES: list[Any] = [
    np.arange(SIZE / 4),
    np.zeros((0, 7)),
    np.asfortranarray(np.arange(SIZE).reshape(2, -1)),
    np.array([(1, 2.5)] * 5000, dtype=[("a", "i4"), ("b", "f8")]),
    pa.table(
        {"a": range(SIZE // 8), "b": pa.array(["x", None] * (SIZE // 16)).dictionary_encode()}
    ),
    pa.table({"a": pa.chunked_array([[1.0] * 50_000, [2.0] * 50_000])}),
    pd.DataFrame({"a": np.arange(50_000)}, index=np.arange(50_000)[::-1]),
    b"bytes" * SIZE,
    "text" * SIZE,
    list(range(100_000)),
    {"point": Point(1, 2), "arrays": [np.arange(50_000), np.arange(60_000)]},
    Opaque(b"pickled" * SIZE),
]


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, pa.Table | pd.DataFrame):
        return bool(a.equals(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(a[0], np.ndarray):
        return all(map(equal, a, b))
    return bool(a == b)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_the_same_by_either_way(value: Any) -> None:
    store = SharingValues()
    sent = PayloadCodec().encode({"x": value}, {}, store, "t").values["x"]
    found = PayloadCodec().decode_one(sent, Any, store)
    assert store.reads == []
    store.beside.clear()
    read = PayloadCodec().decode_one(sent, Any, store)
    assert equal(value, found)
    assert equal(value, read)
    assert type(found) is type(read) is type(value)
    once_more = [
        PayloadCodec().encode({"x": each}, {}, SharingValues(), "t").values["x"].digest
        for each in (found, read)
    ]
    assert once_more == [sent.digest] * 2


def test_a_copy_is_not_asked_for_where_a_value_lies_inline() -> None:
    store = SharingValues()
    sent = PayloadCodec().encode({"x": np.arange(3)}, {}, store, "t").values["x"]
    store.beside["None"] = [b""]
    assert PayloadCodec().decode_one(sent, Any, store).tolist() == [0, 1, 2]


def test_what_is_read_from_the_store_is_checked_as_ever() -> None:
    store = SharingValues()
    sent = PayloadCodec().encode({"x": VALUES[0]}, {}, store, "t").values["x"]
    assert sent.key is not None
    store.objects[sent.key] = store.objects[sent.key][:-1] + b"!"
    assert equal(PayloadCodec().decode_one(sent, Any, store), VALUES[0])
    store.beside.clear()
    with pytest.raises(DigestMismatchError):
        PayloadCodec().decode_one(sent, Any, store)
    assert store.sound == []


def test_what_was_read_and_checked_is_confirmed_to_the_store() -> None:
    store = SharingValues()
    sent = PayloadCodec().encode({"x": b"bytes" * SIZE}, {}, store, "t").values["x"]
    store.beside.clear()
    PayloadCodec().decode_one(sent, Any, store)
    assert store.sound == [sent.key]
