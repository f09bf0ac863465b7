"""A signature becomes options; text becomes values; mistakes name the parameter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel

from flyte_ray.cli.params import (
    PREFIX,
    description_of,
    given_inputs,
    input_options,
    summary_of,
)
from flyte_ray.core.interface import Interface


class Colour(Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Point:
    x: int
    y: int = 7
    colour: Colour = Colour.RED
    tags: list[str] = field(default_factory=list)


class Model(BaseModel):
    rate: float
    layers: list[int] = [1]


class Pair(NamedTuple):
    left: int
    right: str


def type_in(func: Callable[..., Any], *args: str) -> tuple[Result, dict[str, Any]]:
    """Run a command made of `func`'s signature; what it was given."""
    interface = Interface.from_callable(func)
    seen: dict[str, Any] = {}

    def take(**params: Any) -> None:
        seen.update(given_inputs(interface, params))

    options: list[click.Parameter] = [*input_options(interface)]
    command = click.Command("task", params=options, callback=take)
    return CliRunner().invoke(command, list(args)), seen


def value_of(annotation: Any, text: str) -> Any:
    def func(x): ...

    func.__annotations__ = {"x": annotation}
    result, seen = type_in(func, "--x", text)
    assert result.exit_code == 0, result.output
    return seen["x"]


def complaint_of(annotation: Any, text: str) -> str:
    def func(x): ...

    func.__annotations__ = {"x": annotation}
    result, _ = type_in(func, "--x", text)
    assert result.exit_code == 2, result.output
    assert "--x" in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "-3", -3),
        (float, "3", 3.0),
        (str, "3", "3"),
        (Annotated[int, "meta"], "3", 3),
        (bytes, "ab", b"ab"),
        (Path, "/tmp/x", Path("/tmp/x")),
        (Decimal, "1.5", Decimal("1.5")),
        (timedelta, "10 minutes", timedelta(minutes=10)),
        (date, "2026-01-02", date(2026, 1, 2)),
        (Colour, "BLUE", Colour.BLUE),
        (Colour, "blue", Colour.BLUE),
        (Literal["a", 3], "3", 3),
        (int | None, "4", 4),
        (bool | int | None, "yes", True),
        (int | str, "4", 4),
        (str | int, "x", "x"),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, list[float]], '{"a": [1]}', {"a": [1.0]}),
        (dict[int, str], '{"1": "a"}', {1: "a"}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (set[int], "[1, 1]", {1}),
        (list[Point], '[{"x": 1}]', [Point(x=1)]),
        (Point, '{"x": 1, "tags": ["t"]}', Point(x=1, tags=["t"])),
        (Model, '{"rate": 1}', Model(rate=1.0)),
        (Pair, '{"left": 1, "right": "r"}', Pair(1, "r")),
        (Any, '{"a": 1}', {"a": 1}),
        (Any, "plain words", "plain words"),
        (Callable[..., Any], "json:dumps", json.dumps),
    ],
    ids=str,
)
def test_text_becomes_the_annotated_value(annotation: Any, text: str, value: Any) -> None:
    assert value_of(annotation, text) == value
    assert type(value_of(annotation, text)) is type(value)


def test_datetimes_know_their_zone() -> None:
    moment = value_of(datetime, "2026-01-02T10:00")
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("annotation", "text", "words"),
    [
        (int, "1.5", "'1.5' is no whole number"),
        (float, "much", "'much' is no number"),
        (Colour, "GREEN", "'GREEN' is not one of RED, BLUE"),
        (Literal["a", "b"], "c", "'c' is not one of a, b"),
        (timedelta, "soon", "no length of time"),
        (list[int], "1,2", "neither JSON"),
        (list[int], '{"a": 1}', "expected a JSON list"),
        (dict[str, int], "[1]", "expected a JSON object"),
        (list[int], '[1, "x"]', "1: Input should be a valid integer"),
        (Point, "{}", "x: Field required"),
        (dict[str, int], "nowhere.json", "'nowhere.json' cannot be read"),
        (Callable[..., Any], "json:nothing", "'json:nothing' cannot be imported"),
    ],
)
def test_wrong_text_is_refused_with_the_parameter_and_the_reason(
    annotation: Any, text: str, words: str
) -> None:
    assert words in complaint_of(annotation, text)


def test_enum_members_inside_structures_go_on_by_name_for_the_codecs() -> None:
    assert value_of(Point, '{"x": 1, "colour": "BLUE"}') == {"x": 1, "colour": "BLUE"}


def test_structures_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"x": 2}')
    (tmp_path / "p.yaml").write_text("x: 3\n")
    assert value_of(Point, str(tmp_path / "p.json")) == Point(x=2)
    assert value_of(Point, str(tmp_path / "p.yaml")) == Point(x=3)


def test_tables_are_read_from_their_path(tmp_path: Path) -> None:
    import pyarrow as pa

    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    assert value_of(pa.Table, str(tmp_path / "t.csv")).to_pylist() == [{"a": 1, "b": "x"}]


def test_a_dict_updates_the_default() -> None:
    def func(x: dict[str, int] = {"a": 1, "b": 2}): ...  # noqa: B006

    assert type_in(func, "--x", '{"b": 3}')[1] == {"x": {"a": 1, "b": 3}}


def test_what_is_not_typed_is_left_to_the_tasks_default() -> None:
    def func(x: int, y: int = 2, z: int | None = 3): ...

    assert type_in(func, "--x", "1")[1] == {"x": 1}
    assert type_in(func, "--x", "1", "--z", "null")[1] == {"x": 1, "z": None}


def test_a_missing_input_is_named() -> None:
    def func(x: int, y: int): ...

    result, _ = type_in(func, "--x", "1")
    assert result.exit_code == 2
    assert "--y" in result.output


def test_an_optional_input_without_default_may_be_left_out() -> None:
    def func(x: int | None): ...

    assert type_in(func)[1] == {"x": None}


def test_bools_are_flags() -> None:
    def func(a: bool, b: bool = True, c: bool | None = None): ...

    assert type_in(func)[1] == {"a": False}
    assert type_in(func, "--a", "--no-b", "--c")[1] == {"a": True, "b": False, "c": True}


def test_underscores_may_be_typed_as_dashes_and_capitals_are_kept() -> None:
    def func(max_depth: int, Size: int): ...  # noqa: N803

    assert type_in(func, "--max-depth", "1", "--Size", "2")[1] == {"max_depth": 1, "Size": 2}
    assert type_in(func, "--max_depth", "1", "--Size", "2")[1] == {"max_depth": 1, "Size": 2}


def test_inputs_do_not_mix_with_the_commands_own_options() -> None:
    def func(name: str = "x"): ...

    assert [option.name for option in input_options(Interface.from_callable(func))] == [
        PREFIX + "name"
    ]


def test_help_shows_types_docstrings_and_defaults() -> None:
    def func(size: int, colour: Colour = Colour.RED, names: list[str] = ["a"]):  # noqa: B006
        """Paint it.

        Args:
            size: how large,
                in metres.
            colour: of what.
        """

    result, _ = type_in(func, "--help")
    text = " ".join(result.output.split())
    assert "--size INTEGER how large, in metres. [required]" in text
    assert "--colour [RED|BLUE] of what. [default: RED]" in text
    assert "--names JSON [default: ['a']]" in text


def test_docstrings_are_summed_up() -> None:
    doc = "Mine the\nsources.\n\nMore words.\n\nArgs:\n    x: y\n"
    assert summary_of(doc) == "Mine the sources."
    assert description_of(doc).endswith("More words.")
    assert summary_of(None) == ""
