"""Forms of single values: numbers, text, bytes, dates, paths.

Coercion is narrow: int to float, a naive datetime to UTC, a numpy scalar to the Python number it
is. A bool is no int and a str is no date.
"""

from __future__ import annotations

import base64
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from flyte_ray.codec.codec import Encoded, Form, Mismatch, Node, Reader, Writer, type_name
from flyte_ray.codec.plain import BIG_INT
from flyte_ray.core.digest import digest_bytes

BIGGEST_INT = 1 << 8192
"""Larger ints are stored in hexadecimal: Python refuses to print them in decimal."""
SHORT_BYTES = 4096
"""Longer bytes are stored as they are, not as base64 text."""


def is_numpy(value: Any) -> bool:
    """True for numpy's own scalars and arrays, without importing numpy."""
    return type(value).__module__ == "numpy"


class IntForm:
    """`int`: no bool, no float; numpy integers become ints."""

    name = "int"
    plain = True
    exact = int

    def dump(self, value: Any, writer: Writer) -> Node:
        if type(value) is not int:
            value = self._coerce(value)
        return value if -BIGGEST_INT < value < BIGGEST_INT else {BIG_INT: hex(value)}

    def _coerce(self, value: Any) -> int:
        if isinstance(value, bool):
            raise Mismatch("int", value)
        if isinstance(value, int):
            return int(value)
        if is_numpy(value) and getattr(value, "ndim", 1) == 0 and value.dtype.kind in "iu":
            return operator.index(value)
        raise Mismatch("int", value)

    def load(self, node: Node, reader: Reader) -> Any:
        return int(node[BIG_INT], 16) if type(node) is dict else int(node)

    def fits(self, value: Any) -> bool:
        return type(value) is int

    def tag(self, value: Any) -> str:
        return "int"


class FloatForm:
    """`float`: ints are welcome and become floats."""

    name = "float"
    plain = True
    exact = float

    def dump(self, value: Any, writer: Writer) -> Node:
        if type(value) is float:
            return value
        if isinstance(value, bool):
            raise Mismatch("float", value)
        if isinstance(value, int | float):
            return _to_float(value)
        if is_numpy(value) and getattr(value, "ndim", 1) == 0 and value.dtype.kind in "iuf":
            return float(value)
        raise Mismatch("float", value)

    def load(self, node: Node, reader: Reader) -> Any:
        return float(node)

    def fits(self, value: Any) -> bool:
        return type(value) is float

    def tag(self, value: Any) -> str:
        return "float"


def _to_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise Mismatch("float", value, why="too large for a float") from error


class ExactForm:
    """`str`, `bool` and `None`: nodes as they are."""

    plain = True

    def __init__(self, cls: type) -> None:
        self.cls = self.exact = cls
        self.name = type_name(cls)

    def dump(self, value: Any, writer: Writer) -> Node:
        if type(value) is self.cls:
            return value
        if self.cls is str and isinstance(value, str):
            return str.__str__(value)
        if self.cls is bool and is_numpy(value) and type_name(type(value)).startswith("numpy.bool"):
            return bool(value)
        raise Mismatch(self.name, value)

    def load(self, node: Node, reader: Reader) -> Any:
        return node

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TextForm:
    """Values that a text (or a short list) says exactly: dates, paths, decimals."""

    name: str
    accept: tuple[type, ...]
    to_node: Callable[[Any], Node]
    from_node: Callable[[Node], Any]
    refuse: tuple[type, ...] = ()
    plain: bool = False

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, self.accept) or isinstance(value, self.refuse):
            raise Mismatch(self.name, value)
        return self.to_node(value)

    def load(self, node: Node, reader: Reader) -> Any:
        return self.from_node(node)

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.accept) and not isinstance(value, self.refuse)

    def tag(self, value: Any) -> str:
        return self.name


def utc_aware(value: datetime) -> datetime:
    """The same instant with a zone; a naive one is taken to be UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _seconds(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _complex(node: Node) -> complex:
    return complex(*node)


DATETIME = TextForm(
    name="datetime",
    accept=(datetime,),
    to_node=lambda value: utc_aware(value).isoformat(),
    from_node=datetime.fromisoformat,
)
NAIVE_DATETIME = TextForm(
    name="datetime",
    accept=(datetime,),
    to_node=datetime.isoformat,
    from_node=datetime.fromisoformat,
)
"""Where no annotation says `datetime`, a naive one stays naive."""


def _path_form(cls: type[PurePath]) -> TextForm:
    return TextForm(name=cls.__name__, accept=(cls,), to_node=str, from_node=cls)


_PATH = TextForm(name="Path", accept=(Path,), to_node=str, from_node=Path)

TEXTS: dict[type, TextForm] = {
    datetime: DATETIME,
    date: TextForm(
        name="date",
        accept=(date,),
        refuse=(datetime,),
        to_node=date.isoformat,
        from_node=date.fromisoformat,
    ),
    time: TextForm(
        name="time", accept=(time,), to_node=time.isoformat, from_node=time.fromisoformat
    ),
    timedelta: TextForm(
        name="timedelta",
        accept=(timedelta,),
        to_node=_seconds,
        from_node=lambda node: timedelta(*node),
    ),
    Decimal: TextForm(name="Decimal", accept=(Decimal,), to_node=str, from_node=Decimal),
    UUID: TextForm(name="UUID", accept=(UUID,), to_node=str, from_node=UUID),
    complex: TextForm(
        name="complex",
        accept=(complex,),
        to_node=lambda value: [value.real, value.imag],
        from_node=_complex,
    ),
    Path: _PATH,
    type(Path()): _PATH,
    PurePath: TextForm(name="PurePath", accept=(PurePath,), to_node=str, from_node=PurePath),
    PurePosixPath: _path_form(PurePosixPath),
    PureWindowsPath: _path_form(PureWindowsPath),
}

LABELS: dict[type, str] = {cls: form.name for cls, form in TEXTS.items()}
"""The name by which an unannotated value of the class is told in the record."""


class BytesCodec:
    """Bytes as they are."""

    name = "bytes"

    def accepts(self, type_: Any) -> bool:
        return type_ in (bytes, bytearray)

    def encode(self, value: Any, type_: Any) -> Encoded:
        name = "bytearray" if type_ is bytearray else "bytes"
        # The prefix keeps bytes apart from an array whose encoding they happen to be.
        return Encoded(digest=digest_bytes(name.encode() + b"\n", value), type=name, parts=(value,))

    def decode(self, data: bytes, type_: Any) -> Any:
        return bytearray(data) if type_ is bytearray else bytes(data)


class BytesForm:
    """`bytes` and `bytearray`: short ones as base64 text, long ones as an object."""

    plain = False
    codec = BytesCodec()

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.name = cls.__name__

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise Mismatch(self.name, value)
        data = bytes(value)
        if len(data) > SHORT_BYTES:
            return writer.leaf(self.codec, data, self.cls)
        return base64.b64encode(data).decode("ascii")

    def load(self, node: Node, reader: Reader) -> Any:
        if type(node) is dict:
            return reader.leaf(node, self.cls)
        return self.cls(base64.b64decode(node))

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return self.name


def scalar_form(type_: Any) -> Form | None:
    """The form of a class of this room."""
    if type_ is int:
        return IntForm()
    if type_ is float:
        return FloatForm()
    if type_ is None or type_ is type(None):
        return ExactForm(type(None))
    if type_ in (str, bool):
        return ExactForm(type_)
    if type_ in (bytes, bytearray):
        return BytesForm(type_)
    return TEXTS.get(type_) if isinstance(type_, type) else None
