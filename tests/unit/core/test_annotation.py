"""Names of types that are the same in every process, and what a return annotation declares."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    ParamSpec,
    TypeVar,
    Union,
)

import pytest

from flyte_ray.core.annotation import accepts_none, describe_type, is_named_tuple, output_types

T = TypeVar("T")
P = ParamSpec("P")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: int


class Box(Generic[T]):
    class Lid:
        pass


class Scores(NamedTuple):
    precision: float
    recall: float


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (None, "None"),
        (types.NoneType, "None"),
        (Any, "Any"),
        (list, "list"),
        (list[int], "list[int]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Optional[int], "None | int"),  # noqa: UP045
        (int | None, "None | int"),
        (Union[str, int], "int | str"),  # noqa: UP007
        (int | str, "int | str"),
        (Literal["b", "a", 1], "Literal['a', 'b', 1]"),
        (Literal[Colour.RED], "Literal[Colour.RED]"),
        (Annotated[int, "metadata"], "int"),
        (Callable[[int], str], "collections.abc.Callable[[int], str]"),
        (Callable[..., str], "collections.abc.Callable[..., str]"),
        (Decimal, "decimal.Decimal"),
        (Point, "Point"),
        (Box[int], "Box[int]"),
        (Box.Lid, "Box.Lid"),
        (type[int], "type[int]"),
        (T, "T"),
        (P, "P"),
        (UserId, "UserId"),
        (ForwardRef("Later"), "Later"),
        ((int, str), "[int, str]"),
    ],
)
def test_type_has_a_readable_name(annotation: Any, name: str) -> None:
    assert describe_type(annotation, home=__name__) == name


def test_class_of_another_module_goes_by_its_full_name() -> None:
    assert describe_type(Point) == f"{__name__}.Point"


def test_equal_unions_have_one_name() -> None:
    assert describe_type(int | str | None) == describe_type(Union[None, str, int])  # noqa: UP007


@pytest.mark.parametrize(
    ("annotation", "fits"),
    [
        (None, True),
        (types.NoneType, True),
        (Any, True),
        (object, True),
        (int | None, True),
        (Optional[int], True),  # noqa: UP045
        (Annotated[int | None, "x"], True),
        (Literal["a", None], True),
        (int, False),
        (list[None], False),
        (Annotated[int, "x"], False),
        (Literal["a"], False),
    ],
)
def test_whether_none_fits(annotation: Any, fits: bool) -> None:
    assert accepts_none(annotation) is fits


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (None, {}),
        (types.NoneType, {}),
        (int, {"o0": int}),
        (int | None, {"o0": int | None}),
        (tuple[int, str], {"o0": int, "o1": str}),
        ((int, str), {"o0": int, "o1": str}),
        (tuple, {"o0": tuple}),
        (list[int], {"o0": list[int]}),
        (Scores, {"precision": float, "recall": float}),
    ],
)
def test_outputs_are_named_in_order(annotation: Any, outputs: dict[str, Any]) -> None:
    hints = {"precision": float, "recall": float}
    assert output_types(annotation, hints) == outputs


@pytest.mark.parametrize("annotation", [tuple[int], (int,), tuple[int, ...]])
def test_tuples_of_one_or_unknown_length_are_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="list"):
        output_types(annotation, {})


def test_named_tuples_are_told_from_tuples() -> None:
    assert is_named_tuple(Scores)
    assert not is_named_tuple(tuple)
    assert not is_named_tuple(tuple[int, str])
