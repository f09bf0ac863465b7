"""Values come back equal, as copies, with their classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypeVar
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from flyte_ray.codec.codec import shorten
from tests.unit.codec.values import (
    Box,
    Color,
    Frozen,
    Level,
    MemoryValues,
    Opaque,
    Options,
    Pair,
    Person,
    Point,
    Point3,
    Right,
    Scaled,
    Shouting,
    Tree,
    encode,
    round_trip,
    triple,
)


class Tripling(Protocol):
    """As annotated by authors: a Protocol that cannot be asked about instances."""

    def __call__(self, x: int) -> int: ...


UserId = NewType("UserId", int)
V = TypeVar("V")
AWARE = datetime(2024, 5, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))

TYPED = [
    (1, int),
    (1 << 20_000, int),
    (2.5, float),
    (math.inf, float),
    (True, bool),
    ("grüße \ud800 \x00", str),
    (None, None),
    (None, type(None)),
    (b"\x00\xff", bytes),
    (b"x" * 100_000, bytes),
    (bytearray(b"ab"), bytearray),
    (1 + 2j, complex),
    (Decimal("1.10"), Decimal),
    (UUID(int=7), UUID),
    (Path("/a/b"), Path),
    (date(2024, 2, 29), date),
    (time(12, 1, tzinfo=UTC), time),
    (AWARE, datetime),
    (timedelta(days=-1, microseconds=3), timedelta),
    (Color.RED, Color),
    (Level.HIGH, Level),
    (Right.READ | Right.WRITE, Right),
    ("a", Literal["a", "b"]),
    (Color.RED, Literal[Color.RED]),
    (1, Literal[1, True]),
    (True, Literal[1, True]),
    (5, UserId),
    (5, V),
    (3, Annotated[int, Field(gt=1)]),
    ([1, 2], list[int]),
    ([], list[int]),
    ([1.5], list[float]),
    ([[True], []], list[list[bool]]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[()]),
    ((date(2024, 1, 1),), tuple[date, ...]),
    ({1, 2}, set[int]),
    (frozenset([Color.RED]), frozenset[Color]),
    ({"b": 1, "a": 2}, dict[str, int]),
    ({"$as": 1}, dict[str, int]),
    ({1: "x", 2: "y"}, dict[int, str]),
    ({(1, 2): {3}}, dict[tuple[int, int], set[int]]),
    ({Color.RED: 1}, dict[Color, int]),
    ({"a": [1]}, Mapping[str, list[int]]),
    ([1], Sequence[int]),
    ((1,), Sequence[int]),
    (None, Optional[int]),  # noqa: UP045 - both spellings occur
    (date(2024, 1, 1), date | None),
    (date(2024, 1, 1), date | str | None),
    ("2024-01-01", date | str | None),
    (Point(1), Point | Person),
    ([date(2024, 1, 1)], list[date] | dict[str, int]),
    (Pair(1), Pair),
    ({"depth": 1}, Options),
    ({"depth": 1, "label": "x"}, Options),
    (Point(1, 2), Point),
    (Point3(1, 2, 3), Point),
    (Frozen(tags=("a",)), Frozen),
    (Box(content=3), Box[int]),
    (Box(content=[date(2024, 1, 1)]), Box[list[date]]),
    (Tree("r", date(2024, 1, 1), [Tree("c", parent=Point(1))]), Tree),
    (Person(name="a", friends=[Person(name="b", born=AWARE)]), Person),
    (Shouting(text="a", more=[1]), Shouting),
    (Opaque([1, {2}]), Opaque),
    (triple, Callable[[int], int]),
    (triple, Tripling),
    (Point, type),
]

UNTYPED = [
    1,
    True,
    "1",
    None,
    [1, "a", None, [2.0]],
    {"a": 1, 2: "b", (1, 2): {3}},
    {"$dict": [1], "$value": {}},
    (1, (2, [3])),
    {1, "a", (2, 3)},
    frozenset([b"x"]),
    b"bytes",
    bytearray(b"bytes"),
    datetime(2024, 1, 1),  # noqa: DTZ001 - nobody said datetime, so it stays naive
    AWARE,
    date(2024, 1, 1),
    Decimal("2.50"),
    UUID(int=1),
    Path("x"),
    Color.BLUE,
    Level.LOW,
    Point(1),
    [Point(1), Point3(2)],
    Pair(1, "b"),
    Person(name="a"),
    Opaque("x"),
    {"deep": [{"er": (Point(1), {"k": Color.RED})}]},
    range(3),
    triple,
    len,
    Point,
]


@pytest.mark.parametrize(("value", "type_"), TYPED, ids=shorten)
def test_typed_values_come_back(value: Any, type_: Any) -> None:
    back = round_trip(value, type_)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", UNTYPED, ids=shorten)
def test_values_without_annotation_come_back(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


def test_not_a_number_comes_back() -> None:
    assert math.isnan(round_trip(math.nan, float))
    assert math.isnan(round_trip([math.nan])[0])


def test_dicts_keep_their_order() -> None:
    assert list(round_trip({"b": 1, "a": 2}, dict[str, int])) == ["b", "a"]
    assert list(round_trip({2: 1, 1: 2})) == [2, 1]


def test_values_are_copies() -> None:
    inner = [1]
    value = {"a": inner}
    back = round_trip(value, dict[str, list[int]])
    back["a"].append(2)
    assert inner == [1]


def test_private_attributes_of_models_are_made_anew() -> None:
    assert round_trip(Person(name="a"), Person)._seen == 7


def test_post_init_is_not_applied_twice() -> None:
    value = Scaled(1.0)
    assert round_trip(value, Scaled) == value


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.0),
        np.zeros((0, 4)),
        np.arange(10)[::3],
        np.array(["a", "bc"]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.arange(100_000),
        np.array(["a", None], dtype=object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_writeable(array: np.ndarray) -> None:
    back = round_trip(array, np.ndarray)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    assert back.flags.writeable


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.int64(3), np.bool_(True), np.str_("x")])
def test_numpy_scalars_come_back(scalar: Any) -> None:
    back = round_trip(scalar)
    assert back == scalar
    assert type(back) is type(scalar)


def test_arrays_nest_in_containers_and_records() -> None:
    value = {"a": [np.arange(3), np.arange(10_000)], "b": (np.float64(1),)}
    back = round_trip(value)
    assert np.array_equal(back["a"][1], value["a"][1])
    assert np.array_equal(round_trip(Box(np.arange(2)), Box[np.ndarray]).content, np.arange(2))


def test_frames_of_all_libraries_come_back() -> None:
    columns = {"a": [1, 2], "b": ["x", None]}
    table = pa.table(columns)
    assert round_trip(table, pa.Table).equals(table)
    frame = pd.DataFrame(columns, index=pd.Index([5, 7], name="i"))
    pd.testing.assert_frame_equal(round_trip(frame, pd.DataFrame), frame)
    pd.testing.assert_frame_equal(round_trip(frame), frame)
    polars = pl.DataFrame(columns)
    assert round_trip(polars, pl.DataFrame).equals(polars)
    batch = table.to_batches()[0]
    assert round_trip(batch, pa.RecordBatch).equals(batch)
    for made in (table, polars, batch, frame):
        assert isinstance(round_trip(made, pd.DataFrame), pd.DataFrame)
        assert isinstance(round_trip(made, pl.DataFrame), pl.DataFrame)
        (listed,) = round_trip([made], list[pa.Table])
        assert isinstance(listed, pa.Table)


def test_a_frame_or_nothing_comes_back_as_the_frame_that_is_asked_for() -> None:
    frame, polars = pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]})
    assert isinstance(round_trip(frame, pd.DataFrame | None), pd.DataFrame)
    assert isinstance(round_trip(polars, pd.DataFrame | None), pd.DataFrame)
    assert isinstance(round_trip(polars, pd.DataFrame | pl.DataFrame), pl.DataFrame)
    assert isinstance(round_trip(frame, pd.DataFrame | pl.DataFrame), pd.DataFrame)
    selected = Annotated[pd.DataFrame, pa.schema([("a", pa.int64())])]
    assert list(round_trip(pd.DataFrame({"b": [2], "a": [1]}), selected | None)) == ["a"]
    assert round_trip(None, pd.DataFrame | None) is None


def test_a_frame_annotation_selects_columns() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2]})
    assert list(round_trip(frame, Annotated[pd.DataFrame, {"a": int}])) == ["a"]
    schema = pa.schema([("b", pa.int64())])
    assert list(round_trip(frame, Annotated[pd.DataFrame, schema])) == ["b"]


def test_large_values_become_objects_and_small_ones_stay_inline() -> None:
    store = MemoryValues()
    small, large = encode("a" * 100, str, store), encode("a" * 20_000, str, store)
    assert small.inline is not None and small.key is None
    assert large.inline is None and large.key in store.objects


def test_only_the_large_leaf_of_a_small_container_becomes_an_object() -> None:
    store = MemoryValues()
    encoded = encode([np.arange(10_000), 1], list, store)
    assert encoded.inline is not None
    assert [key.rpartition(".")[2] for key in store.puts] == ["npy"]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary(max_size=50)
    | st.dates()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from(Color)
)
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.frozensets(SCALARS, max_size=4)
        | st.builds(Box, inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_comes_back(value: Any) -> None:
    assert round_trip(value) == value


LEAVES = st.builds(Tree, st.text(), st.none() | st.dates())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(Tree, st.text(), st.none(), st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(TREES)
def test_any_record_comes_back(value: Tree) -> None:
    assert round_trip(value, Tree) == value
