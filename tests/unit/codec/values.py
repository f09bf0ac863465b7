"""A value store in memory, and classes that tests store. Importable, so records have labels."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel, PrivateAttr

from flyte_ray.codec.own_memory import copied_in
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.ports import Part

T = TypeVar("T")


class MemoryValues:
    """`ValueStore` in memory; `files_url` as the run's own store may have it."""

    def __init__(self, files_url: str | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.files_url = files_url

    def put(self, digest: str, codec: str, *parts: bytes | bytearray | memoryview) -> str:
        key = f"runs/r/values/{digest}.{codec}"
        self.puts.append(key)
        self.objects[key] = b"".join(bytes(part) for part in parts)
        return key

    def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError as error:
            raise FileNotFoundError(key) from error


class SharingValues(MemoryValues):
    """`SharingStore` in memory, of one run; counts what is read from the store itself."""

    def __init__(self, run: str = "r") -> None:
        super().__init__()
        self.run = run
        self.beside: dict[str, list[bytes]] = {}
        self.reads: list[str] = []
        self.sound: list[str] = []

    def put(self, digest: str, codec: str, *parts: Part) -> str:
        return self.put_shared(digest, codec, parts, lambda: parts)

    def put_shared(
        self,
        digest: str,
        codec: str,
        parts: Sequence[Part],
        share: Callable[[], Sequence[Part] | None],
    ) -> str:
        key = super().put(digest, codec, *parts)
        if (shared := share()) is not None:
            self.beside[key] = [bytes(part) for part in shared]
        return key

    def get(self, key: str) -> bytes:
        self.reads.append(key)
        return super().get(key)

    def take(self, key: str, size_bytes: int) -> Sequence[memoryview] | None:
        """Each time in memory of its own, as far as the parts are large enough."""
        parts = self.beside.get(key)
        return None if parts is None else [memoryview(copied_in(part)) for part in parts]

    def confirm(self, key: str) -> None:
        self.sound.append(key)

    def hand_on(self, value: EncodedValue, share: Callable[[], Sequence[Part] | None]) -> bool:
        if value.key is None or not value.key.startswith(f"runs/{self.run}/"):
            return False
        if value.key not in self.beside and (parts := share()) is not None:
            self.beside[value.key] = [bytes(part) for part in parts]
        return True


CODECS = PayloadCodec()


def encode(value: Any, type_: Any = Any, store: MemoryValues | None = None) -> EncodedValue:
    """One encoded value, by way of the record's text."""
    values = MemoryValues() if store is None else store
    payload = CODECS.encode({"x": value}, {"x": type_}, values, "task 'e.f', input")
    return Payload.from_json(payload.to_json()).values["x"]


def round_trip(value: Any, type_: Any = Any) -> Any:
    """The value as a task would get it."""
    store = MemoryValues()
    return CODECS.decode_one(encode(value, type_, store), type_, store)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Point3(Point):
    z: int = 0


@dataclass
class Tree:
    name: str
    when: date | None = None
    children: list[Tree] = field(default_factory=list)
    parent: Point | None = None


@dataclass
class Scaled:
    size: float
    area: float = field(init=False)

    def __post_init__(self) -> None:
        self.size = self.size * 2
        self.area = self.size**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    tags: tuple[str, ...] = ()


@dataclass
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Options(TypedDict):
    depth: int
    label: NotRequired[str]


class Person(BaseModel):
    name: str
    born: datetime | None = None
    friends: list[Person] = []
    _seen: int = PrivateAttr(default=7)


class Shouting(BaseModel, extra="allow"):
    text: str


class Opaque:
    def __init__(self, content: Any) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.content == other.content

    __hash__ = None  # type: ignore[assignment]


def triple(number: int) -> int:
    return 3 * number
