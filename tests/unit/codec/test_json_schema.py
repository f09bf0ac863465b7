"""Schemas describe what a form may send."""

from __future__ import annotations

import inspect
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field

from flyte_ray.codec.json_schema import interface_schema, schema_of
from flyte_ray.io import File
from tests.unit.codec.values import Color, Options, Pair, Person, Point, Tree

EMPTY = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("type_", "schema"),
    [
        (int, {"type": "integer"}),
        (Any, {}),
        (date, {"type": "string", "format": "date"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Color, {"enum": ["RED", "BLUE"], "title": "Color"}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (np.ndarray, {"title": "numpy.ndarray"}),
        (File, {"type": "string", "format": "uri", "title": "File"}),
        (Annotated[int, "a note"], {"type": "integer"}),
        (Annotated[int, Field(gt=1)], {"type": "integer", "exclusiveMinimum": 1}),
    ],
)
def test_types_have_schemas(type_: Any, schema: dict[str, Any]) -> None:
    assert schema_of(type_) == schema


def test_records_are_defined_once_and_may_contain_themselves() -> None:
    schema = schema_of(list[Tree])
    assert schema["items"] == {"$ref": "#/$defs/Tree"}
    tree = schema["$defs"]["Tree"]
    assert tree["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert tree["required"] == ["name"]
    assert set(schema["$defs"]) == {"Tree", "Point"}


@pytest.mark.parametrize("cls", [Point, Pair, Options])
def test_required_fields_are_told(cls: Any) -> None:
    (definition,) = schema_of(cls)["$defs"].values()
    assert len(definition["required"]) == 1


def test_models_bring_their_own_schema() -> None:
    schema = schema_of(dict[str, Person])
    assert "name" in str(schema["$defs"])


def test_an_interface_has_defaults_and_required_inputs() -> None:
    schema = interface_schema({"x": (int, EMPTY), "y": (str, "a"), "z": (Point, Point(1))})
    assert schema["required"] == ["x"]
    assert schema["properties"]["y"] == {"type": "string", "default": "a"}
    assert "default" not in schema["properties"]["z"]
