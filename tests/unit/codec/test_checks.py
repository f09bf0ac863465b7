"""Wrong values are refused before anything runs, by name, place and type."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

from flyte_ray.errors import UnserializableInputError, WrongCallError
from tests.unit.codec.values import (
    CODECS,
    Color,
    MemoryValues,
    Opaque,
    Options,
    Pair,
    Person,
    Point,
    encode,
    round_trip,
)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        ("a", int, "input 'x' expects int, got str ('a')"),
        (True, int, "expects int, got bool (True)"),
        (1.5, int, "expects int, got float"),
        (True, float, "expects float, got bool"),
        (1, str, "expects str, got int (1)"),
        (1, bool, "expects bool, got int"),
        (None, int, "expects int, got None"),
        ("2024-01-01", date, "expects date, got str"),
        (date(2024, 1, 1), datetime, "expects datetime, got date"),
        ("red", Color, "its member names are RED, BLUE"),
        ("c", Literal["a", "b"], "expects Literal['a', 'b']"),
        (1, Literal["1"], "expects Literal['1'], got int"),
        ([1, "a"], list[int], "at [1] expects int, got str ('a')"),
        ((1,), list[int], "expects list[int], got tuple"),
        ((1,), tuple[int, int], "it has 1 elements"),
        ({"a": [1, {"b": "x"}]}, dict[str, list[int | dict[str, int]]], "at ['a'][1]['b'] expects"),
        ({1: 2}, dict[str, int], "at [1] expects str, got int"),
        (Point("a"), Point, "at .x expects int, got str ('a')"),  # type: ignore[arg-type]
        ([Point(1), Point(None)], list[Point], "at [1].x expects int, got None"),  # type: ignore[arg-type]
        ({"y": 1}, Point, "it lacks 'x'"),
        ({"x": 1, "w": 1}, Point, "it has the unknown field 'w'"),
        ({"depth": 1, "w": 1}, Options, "unknown field 'w'"),
        ((1,), Pair, "it has 1 elements"),
        ({"name": 3}, Person, "at .name expects a valid field of Person"),
        (Opaque(1), Point, "expects Point, got Opaque"),
        (1, Opaque, "expects Opaque, got int"),
        (1.5, int | str, "expects int | str, got float"),
        (0, Annotated[int, Field(gt=1)], "Input should be greater than 1"),
        ([1], np.ndarray, "expects numpy.ndarray, got list"),
        ({"a": [1]}, pd.DataFrame, "expects pandas.DataFrame, got dict"),
        ("len", Callable[..., Any], "expects Callable"),
        (len, type, "expects type, got"),
        (str, type[int], "expects type[int], got type"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(value: Any, type_: Any, text: str) -> None:
    store = MemoryValues()
    with pytest.raises(TypeError) as caught:
        CODECS.encode({"x": value}, {"x": type_}, store, "task 'e.f', input")
    assert str(caught.value).startswith("task 'e.f', input 'x'")
    assert text in str(caught.value)
    assert isinstance(caught.value, WrongCallError)
    assert caught.value.parameter == "x"
    assert not store.objects


def test_a_long_value_is_shortened_and_a_bad_repr_survived() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(TypeError) as caught:
        encode("x" * 10_000, int)
    assert len(str(caught.value)) < 200
    with pytest.raises(TypeError, match="repr failed"):
        encode(Rude(), int)


@pytest.mark.parametrize(
    ("value", "type_", "arrives"),
    [
        (1, float, 1.0),
        ([1, 2.5], list[float], [1.0, 2.5]),
        (np.int64(3), int, 3),
        (np.float32(0.5), float, 0.5),
        (np.bool_(True), bool, True),
        ("RED", Color, Color.RED),
        ("RED", Literal[Color.RED], Color.RED),
        ([1, "a"], tuple[int, str], (1, "a")),
        ({"x": 1}, Point, Point(1)),
        ([{"x": 1, "y": 2}], list[Point], [Point(1, 2)]),
        ({"x": 1}, Point | None, Point(1)),
        ({"left": 1}, Pair, Pair(1)),
        ((1, "b"), Pair, Pair(1, "b")),
        (
            {"name": "a", "friends": [{"name": "b"}]},
            Person,
            Person(name="a", friends=[Person(name="b")]),
        ),
        ({"kind": "dog"}, Annotated[Cat | Dog, Field(discriminator="kind")], Dog(kind="dog")),
        ({"kind": "cat"}, Cat | Dog, Cat(kind="cat")),
        (1, float | str, 1.0),
        (True, int | bool, True),
        (1, bool | int, 1),
        (1, float | int, 1),
        (datetime(2024, 1, 1), datetime, datetime(2024, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
        (memoryview(b"ab"), bytes, b"ab"),
    ],
)
def test_what_can_be_coerced_arrives_as_annotated(value: Any, type_: Any, arrives: Any) -> None:
    back = round_trip(value, type_)
    assert back == arrives
    assert type(back) is type(arrives)


def test_an_ambiguous_dict_is_refused() -> None:
    class Other(BaseModel):
        name: str
        extra: int = 1

    with pytest.raises(TypeError, match="could be Person as well as"):
        encode({"name": "a"}, Person | Other)


def test_a_value_that_cannot_be_pickled_is_refused_with_its_place() -> None:
    with pytest.raises(UnserializableInputError, match=r"'x' at \['a'\]\[1\] cannot be stored"):
        encode({"a": [1, threading.Lock()]})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnserializableInputError, match="contains itself"):
        encode(loop)


def test_a_column_type_that_parquet_lacks_is_named() -> None:
    interval = pa.array([pa.MonthDayNano([1, 2, 3])])
    table = pa.table({"ok": [1], "span": interval})
    with pytest.raises(UnserializableInputError, match="column 'span' has the type"):
        encode(table, pa.Table)


def test_a_frame_of_python_objects_is_refused_by_column() -> None:
    frame = pd.DataFrame({"a": [object(), 1]})
    with pytest.raises(UnserializableInputError, match="column a"):
        encode(frame, pd.DataFrame)


def test_unannotated_and_unresolved_parameters_take_anything() -> None:
    for type_ in (Any, object, "SomeName"):
        assert round_trip(Point(1), type_) == Point(1)
