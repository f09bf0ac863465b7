"""A digest is that of the logical content: the same everywhere, different for different values."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given

from flyte_ray.codec.builtin import new_registry
from flyte_ray.codec.codec import shorten
from flyte_ray.codec.labels import label_of
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.io import HashFunction
from tests.unit.codec.test_round_trips import VALUES
from tests.unit.codec.values import (
    Color,
    MemoryValues,
    Opaque,
    Pair,
    Person,
    Point,
    Tree,
    encode,
    round_trip,
)

ROOT = Path(__file__).resolve().parents[3]

# Golden values: a change here means that every cache key of every user changes.
GOLDEN: list[tuple[Any, Any, str]] = [
    (1, int, "28271fd350dca0af"),
    ("a", str, "54fe2c696f86152a"),
    (
        {"b": 1, "a": [2.5, None]},
        dict,
        "5693dbed7c3b5d0d",
    ),
    (
        [date(2024, 1, 2)],
        list[date],
        "de7ea8f1085f93a0",
    ),
    ({3, 1, 2}, set[int], "b8440d88db0bd684"),
    (Point(1, 2), Point, "52852b021d03e1b7"),
    (Person(name="a"), Person, "3e47e9162efbc77f"),
    (b"ab", bytes, "ae9836eaea3e7dd1"),
    (b"x" * 5000, bytes, "532dbe8d0a61a447"),
    (
        np.arange(3, dtype="<i8"),
        np.ndarray,
        "eed7c944a674e7e9",
    ),
    (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), pd.DataFrame, "24814fddea91ab06"),
    (pd.DataFrame({"a": [1, 2]}, index=[3, 4]), pd.DataFrame, "ee8c30a6fa2c1deb"),
]


@pytest.mark.parametrize(("value", "type_", "digest"), GOLDEN, ids=shorten)
def test_digests_never_change(value: Any, type_: Any, digest: str) -> None:
    assert encode(value, type_).digest[:16] == digest


DIFFERENT = [
    1,
    1.0,
    True,
    "1",
    None,
    "None",
    [1],
    (1,),
    {1},
    frozenset([1]),
    {"a": 1},
    {1: "a"},
    {"1": "a"},
    b"1",
    bytearray(b"1"),
    date(2024, 1, 1),
    "2024-01-01",
    [date(2024, 1, 1)],
    ["2024-01-01"],
    Point(1),
    {"x": 1, "y": 0},
    Pair(1),
    Color.RED,
    "RED",
    np.int64(1),
    np.array(1),
    np.array([1]),
    np.array([[1]]),
    np.array([1.0]),
    np.array([1], dtype="i4"),
    pa.table({"a": [1]}),
    pa.table({"b": [1]}),
    pa.table({"a": [1.0]}),
    pd.DataFrame({"a": [1]}, index=[3]),
]


def test_different_values_have_different_digests() -> None:
    digests = [encode(value).digest for value in DIFFERENT]
    assert len(set(digests)) == len(digests)


def test_typed_lists_do_not_collide_with_lists_of_their_texts() -> None:
    day = date(2024, 1, 1)
    assert encode([day], list[date]).digest != encode(["2024-01-01"], list[str]).digest


@given(VALUES, VALUES)
def test_distinct_values_have_distinct_digests(one: Any, other: Any) -> None:
    assume(repr(one) != repr(other) and one != other)
    assert encode(one).digest != encode(other).digest


@given(VALUES)
def test_equal_values_have_equal_digests(value: Any) -> None:
    assert encode(value).digest == encode(value).digest


def test_the_order_of_keys_does_not_count() -> None:
    assert (
        encode({"a": 1, "b": {"c": 2, "d": 3}}).digest
        == encode({"b": {"d": 3, "c": 2}, "a": 1}).digest
    )
    assert encode({1: 2, "x": 3}).digest == encode({"x": 3, 1: 2}).digest


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (1, int | None),
        ([1, 2], list[int]),
        ({"a": [1]}, dict[str, list[int]]),
        (date(2024, 1, 1), date),
        ((1, "a"), tuple[int, str]),
        ({1, 2}, set[int]),
        (Color.RED, Color),
        (Point(1), Point),
        (Point(1), Point | Person),
        (Person(name="a"), Person | None),
        (np.arange(3), np.ndarray),
        (Tree("a", date(2024, 1, 1)), Tree),
    ],
    ids=shorten,
)
def test_the_annotation_does_not_count(value: Any, type_: Any) -> None:
    assert encode(value, type_).digest == encode(value).digest


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        (list[date | Path], list[Path | date], [date(2024, 1, 1), Path("a")]),
        (list[date] | list[Path], list[Path] | list[date], []),
        (
            list[Literal[Color.RED, Color.BLUE]],
            list[Literal[Color.BLUE, Color.RED]],
            [Color.RED],
        ),
    ],
)
def test_the_order_of_choices_does_not_count(one: Any, other: Any, value: Any) -> None:
    # Registries of their own, as two processes have that meet these annotations first.
    digests = set()
    for type_ in (one, other):
        codecs = PayloadCodec(new_registry())
        payload = codecs.encode({"x": value}, {"x": type_}, MemoryValues(), "task 'e.f', input")
        digests.add(payload.digest)
    assert len(digests) == 1


def test_coercion_leads_to_the_digest_of_what_arrives() -> None:
    assert encode(1, float).digest == encode(1.0, float).digest
    assert encode({"x": 1}, Point).digest == encode(Point(1), Point).digest
    assert encode({"x": 1}, Point | None).digest == encode(Point(1), Point | None).digest


def test_containers_of_leaves_carry_the_digests_of_their_elements() -> None:
    arrays = [np.arange(3), np.arange(4)]
    expected = tuple(encode(item).digest for item in arrays)
    assert encode(arrays).elements == expected
    assert encode(dict(zip("ab", arrays, strict=True))).elements == expected
    assert encode([1, 2, 3]).elements == ()
    assert encode([*arrays, 1]).elements == ()


def test_arrays_of_equal_content_have_equal_digests() -> None:
    array = np.arange(12.0).reshape(3, 4)
    same = [np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2], array.copy()]
    assert {encode(each).digest for each in same} == {encode(array).digest}


def test_tables_have_one_digest_in_all_libraries_and_chunkings() -> None:
    table = pa.table({"a": [1, 2, 3]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    same = [chunked, table.to_pandas(), pl.DataFrame({"a": [1, 2, 3]}), table.to_batches()[0]]
    assert {encode(each).digest for each in same} == {encode(table).digest}


def test_an_index_of_pandas_counts() -> None:
    plain = pd.DataFrame({"a": [1, 2]})
    assert encode(plain).digest != encode(pd.DataFrame({"a": [1, 2]}, index=[1, 2])).digest


def named(frame: pd.DataFrame) -> pd.DataFrame:
    frame.columns.name = "name"
    return frame


def noted(frame: pd.DataFrame) -> pd.DataFrame:
    frame.attrs["unit"] = "m"
    return frame


NUMBERS = pd.DataFrame({"0": [1, 2], "1": [3, 4]})
PAIRS = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
LOOK_ALIKE = [
    (NUMBERS, NUMBERS.set_axis([0, 1], axis=1)),
    (NUMBERS, NUMBERS.astype("Int64")),
    (NUMBERS, NUMBERS.astype("int64[pyarrow]")),
    (NUMBERS, named(NUMBERS.copy())),
    (NUMBERS, noted(NUMBERS.copy())),
    (NUMBERS.set_axis(PAIRS, axis=1), NUMBERS.set_axis(list(map(str, PAIRS)), axis=1)),
    (NUMBERS.set_axis(["None", "1"], axis=1), NUMBERS.set_axis([None, "1"], axis=1)),
    (pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["x"]}, dtype="string")),
    (NUMBERS.set_index(["0"], drop=False), NUMBERS.set_index(["0"], drop=False).rename_axis(None)),
]


@pytest.mark.parametrize(("one", "other"), LOOK_ALIKE)
def test_frames_that_differ_only_in_labels_or_dtypes_are_two_values(
    one: pd.DataFrame, other: pd.DataFrame
) -> None:
    assert encode(one).digest != encode(other).digest
    for frame in (one, other):
        arrived = round_trip(frame, pd.DataFrame)
        assert encode(arrived).digest == encode(frame).digest
    pd.testing.assert_frame_equal(round_trip(one, pd.DataFrame), one)


@pytest.mark.parametrize(
    "frame",
    [
        NUMBERS.astype(object),
        NUMBERS.set_axis(pd.Index(["0", "1"], dtype=object), axis=1),
    ],
)
def test_what_comes_back_in_one_way_is_one_value(frame: pd.DataFrame) -> None:
    assert encode(frame).digest == encode(NUMBERS).digest
    pd.testing.assert_frame_equal(round_trip(frame, pd.DataFrame), NUMBERS)


def test_what_an_author_notes_at_a_table_counts() -> None:
    table = pa.table({"a": [1, 2, 3]})
    noted = table.replace_schema_metadata({"unit": "m"})
    assert encode(noted).digest != encode(table).digest
    assert round_trip(noted, pa.Table).schema.metadata == {b"unit": b"m"}


def test_pickled_values_are_marked_unstable() -> None:
    assert not encode(Opaque(1)).stable
    assert not encode([1, {"a": Opaque(1)}]).stable
    assert encode(Point(1)).stable


def test_a_hash_function_takes_the_place_of_the_content() -> None:
    by_content = HashFunction.from_fn(lambda value: str(value.content))
    type_ = Annotated[Opaque, by_content]
    assert encode(Opaque("a"), type_).digest == encode(Opaque("a"), type_).digest
    assert encode(Opaque("a"), type_).digest != encode(Opaque("b"), type_).digest
    assert encode(Opaque("a"), type_).stable
    constant = Annotated[pd.DataFrame, HashFunction.from_fn(lambda _: "v1")]
    one, other = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})
    assert encode(one, constant).digest == encode(other, constant).digest
    ignoring = Annotated[int, HashFunction.from_fn(lambda _: "same")]
    assert encode(1, ignoring).digest == encode(2, ignoring).digest


def test_aware_datetimes_of_one_zone_are_told_apart_by_instant_only() -> None:
    zone = timezone(timedelta(hours=1))
    noon = datetime(2024, 1, 1, 12, tzinfo=zone)
    assert encode(noon).digest == encode(datetime(2024, 1, 1, 12, tzinfo=zone)).digest


PROBE = """
import sys
sys.path.insert(0, {root!r})
from tests.unit.codec.values import *
words = ["alpha", "beta", "gamma", "delta"]
values = [set(words), {{w: i for i, w in enumerate(words)}}, frozenset(words), Color.RED,
          [Point(1)], Tree("r", date(2024, 1, 1)), {{1: {{2}}, "a": (3,)}}, b"x" * 9000]
print(*(encode(value).digest for value in values))
"""


def test_digests_depend_neither_on_the_process_nor_on_its_hash_seed() -> None:
    seen = set()
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(root=str(ROOT))],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1
    assert len(set(seen.pop().split())) == 8


MAIN = """
import sys
sys.path.insert(0, {root!r})
from dataclasses import dataclass
from tests.unit.codec.values import encode
@dataclass
class Point:
    x: int
    y: int = 0
print(encode(Point(1)).digest, encode(Point(1)).stable, encode([Point(1)]).elements[0])
"""


def test_a_record_of_a_script_has_the_digest_it_has_elsewhere() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = encode(Point(1)).digest
    assert done.stdout.split() == [expected, "True", expected]


def test_local_classes_have_no_label() -> None:
    class Local:
        pass

    assert label_of(Local) is None
    assert label_of(Point) == "tests.unit.codec.values:Point"
