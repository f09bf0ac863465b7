"""JSON Schema of annotations and interfaces, for forms in the console and for other programs.

Describes what `PayloadCodec.from_json` reads: enums by member name, dates as ISO texts, bytes as
base64. What has no JSON form (arrays, unknown classes) is an object with a title only. Records are
written out once under `$defs`.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import importlib
import inspect
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from flyte_ray.codec.codec import type_name
from flyte_ray.codec.records import hints_of, required_keys

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    Any: {},
    object: {},
    inspect.Parameter.empty: {},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "array", "items": {"type": "integer"}, "title": "timedelta"},
    Decimal: {"type": "string", "title": "Decimal"},
    UUID: {"type": "string", "format": "uuid"},
    complex: {"type": "array", "items": {"type": "number"}, "title": "complex"},
}


def interface_schema(inputs: Mapping[str, tuple[Any, Any]]) -> Schema:
    """The schema of an object that holds a task's inputs.

    Args:
        inputs: name to (type, default or `inspect.Parameter.empty`), as `Interface.inputs` has it.

    Example:
        >>> interface_schema({"x": (int, inspect.Parameter.empty)})["required"]
        ['x']
    """
    writer = _SchemaWriter()
    properties = {}
    for name, (type_, default) in inputs.items():
        schema = writer.of(type_)
        if default is not inspect.Parameter.empty and _is_json(default):
            schema = {**schema, "default": default}
        properties[name] = schema
    required = [n for n, (_, default) in inputs.items() if default is inspect.Parameter.empty]
    out: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        out["required"] = required
    return writer.finish(out)


def schema_of(type_: Any) -> Schema:
    """The schema of one annotation."""
    writer = _SchemaWriter()
    return writer.finish(writer.of(type_))


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(key) is str and _is_json(each) for key, each in value.items())
    return value is None or type(value) in (bool, int, float, str)


class _SchemaWriter:
    """Writes schemas that share their definitions."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}

    def finish(self, schema: Schema) -> Schema:
        return {**schema, "$defs": self._defs} if self._defs else schema

    def of(self, type_: Any) -> Schema:
        if (known := self._scalar(type_)) is not None:
            return known
        origin = get_origin(type_)
        if origin is Annotated:
            return self._annotated(type_)
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(each) for each in get_args(type_)]}
        if origin is Literal:
            return {"enum": [_choice(each) for each in get_args(type_)]}
        cls = origin or type_
        if not isinstance(cls, type):
            return {}
        return self._class(cls, get_args(type_))

    @staticmethod
    def _scalar(type_: Any) -> Schema | None:
        try:
            found = _SCALARS.get(type_)
        except TypeError:
            return None
        return None if found is None else dict(found)

    def _annotated(self, type_: Any) -> Schema:
        inner, *notes = get_args(type_)
        if not any(type(n).__module__.startswith(("pydantic", "annotated_types")) for n in notes):
            return self.of(inner)
        adapter = importlib.import_module("pydantic").TypeAdapter(type_)
        return self._adopt(adapter.json_schema(ref_template="#/$defs/{model}"))

    def _adopt(self, schema: Schema) -> Schema:
        self._defs.update(schema.pop("$defs", {}))
        return schema

    def _class(self, cls: type, arguments: tuple[Any, ...]) -> Schema:
        if hasattr(cls, "__flyte_schema__"):
            return dict(cls.__flyte_schema__())
        if issubclass(cls, enum.Enum):
            return {"enum": list(cls.__members__), "title": type_name(cls)}
        if issubclass(cls, PurePath):
            return {"type": "string", "format": "path"}
        if hasattr(cls, "model_json_schema"):
            return self._model(cls)
        if dataclasses.is_dataclass(cls):
            return self._record(cls, _required_fields(cls))
        if typing.is_typeddict(cls):
            return self._record(cls, required_keys(cls))
        if issubclass(cls, tuple):
            return self._tuple(cls, arguments)
        return self._container(cls, arguments)

    def _container(self, cls: type, arguments: tuple[Any, ...]) -> Schema:
        first = self.of(arguments[0]) if arguments else {}
        if issubclass(cls, set | frozenset):
            return {"type": "array", "items": first, "uniqueItems": True}
        if issubclass(cls, Mapping):
            values = self.of(arguments[1]) if len(arguments) > 1 else {}
            return {"type": "object", "additionalProperties": values}
        if issubclass(cls, list) or cls.__module__ == "collections.abc":
            return {"type": "array", "items": first}
        return {"title": type_name(cls)}

    def _tuple(self, cls: type, arguments: tuple[Any, ...]) -> Schema:
        if hasattr(cls, "_fields"):
            return self._record(cls, [n for n in cls._fields if n not in cls._field_defaults])  # type: ignore[attr-defined]
        if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis):
            return {"type": "array", "items": self.of(arguments[0]) if arguments else {}}
        items = [self.of(each) for each in arguments]
        return {
            "type": "array",
            "prefixItems": items,
            "minItems": len(items),
            "maxItems": len(items),
        }

    def _model(self, cls: Any) -> Schema:
        name = type_name(cls)
        if name not in self._defs:
            schema = cls.model_json_schema(ref_template="#/$defs/{model}")
            self._defs[name] = {}
            definitions = schema.get("$defs", {})
            # A model that contains itself is among its own definitions.
            itself = definitions.pop(name, None)
            self._defs[name] = itself or {}
            rest = self._adopt(schema)
            self._defs[name] = itself or rest
        return {"$ref": f"#/$defs/{name}"}

    def _record(self, cls: type, required: list[str]) -> Schema:
        name = type_name(cls)
        if name not in self._defs:
            self._defs[name] = {}
            properties = {field: self.of(_bare(hint)) for field, hint in hints_of(cls).items()}
            self._defs[name] = {"type": "object", "title": name, "properties": properties}
            if required:
                self._defs[name]["required"] = sorted(required)
        return {"$ref": f"#/$defs/{name}"}


def _required_fields(cls: Any) -> list[str]:
    return [
        each.name
        for each in dataclasses.fields(cls)
        if each.init
        and each.default is dataclasses.MISSING
        and each.default_factory is dataclasses.MISSING
    ]


def _bare(hint: Any) -> Any:
    marked = get_origin(hint) in (typing.Required, typing.NotRequired)
    return get_args(hint)[0] if marked else hint


def _choice(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
