"""Types of any depth with values of them, for properties; by a seed, so that processes agree."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar, Union
from uuid import UUID

import pydantic

T = TypeVar("T")
TEXTS = ["", "a", "A", "ab", "1", "None", "$as", "$value", "grüße", "\x00", "a\nb", '"', "{", "\\u"]


class Mood(enum.Enum):
    GOOD = 1
    BAD = "bad"


@dataclass(frozen=True)
class Boxed(Generic[T]):
    content: T
    note: str = ""


class Named(NamedTuple):
    count: int
    label: str | None = None


class Keyed(TypedDict):
    count: int
    label: NotRequired[str]


class Modelled(pydantic.BaseModel, frozen=True):
    when: datetime
    parts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A type, and how to make a value of it."""

    type: Any
    make: Callable[[random.Random], Any]
    hashable: bool = True


def an_instant(rng: random.Random) -> datetime:
    zone = rng.choice([UTC, timezone(timedelta(hours=rng.randint(-11, 11)))])
    return datetime(2000 + rng.randrange(30), rng.randint(1, 12), 1, tzinfo=zone)


def an_int(rng: random.Random) -> int:
    return rng.choice([0, 1, -1, rng.getrandbits(8), rng.getrandbits(70), -rng.getrandbits(9000)])


def a_keyed(rng: random.Random) -> Keyed:
    return {"count": 1} if rng.random() < 0.5 else {"label": "x", "count": rng.randrange(3)}


SCALARS = [
    Kind(int, an_int),
    Kind(float, lambda rng: rng.choice([0.0, 1.0, -1.5, 1e300, float("inf"), rng.random()])),
    Kind(bool, lambda rng: rng.random() < 0.5),
    Kind(str, lambda rng: rng.choice(TEXTS) * rng.randint(1, 3)),
    Kind(bytes, lambda rng: rng.randbytes(rng.choice([0, 1, 5000]))),
    Kind(date, lambda rng: an_instant(rng).date()),
    Kind(datetime, an_instant),
    Kind(time, lambda rng: time(rng.randrange(24), rng.randrange(60))),
    Kind(timedelta, lambda rng: timedelta(seconds=rng.randint(-(10**9), 10**9))),
    Kind(Decimal, lambda rng: Decimal(rng.randint(-999, 999)) / 8),
    Kind(UUID, lambda rng: UUID(int=rng.getrandbits(128))),
    Kind(PurePosixPath, lambda rng: PurePosixPath("/".join(["a", *rng.choices("xyz", k=2)]))),
    Kind(Mood, lambda rng: rng.choice(list(Mood))),
    Kind(Literal["a", 1, None], lambda rng: rng.choice(["a", 1, None])),
    Kind(type(None), lambda rng: None),
    Kind(Named, lambda rng: Named(rng.randrange(9), rng.choice([None, "x"]))),
    Kind(Modelled, lambda rng: Modelled(when=an_instant(rng), parts=(1, 2)[: rng.randrange(3)])),
    Kind(Keyed, a_keyed, hashable=False),
]


def a_kind(rng: random.Random, depth: int) -> Kind:
    """Some type, containers nested to a depth."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(SCALARS)
    return rng.choice(CONTAINERS)(rng, a_kind(rng, depth - 1))


def several(rng: random.Random, kind: Kind) -> list[Any]:
    return [kind.make(rng) for _ in range(rng.randrange(4))]


def a_list(rng: random.Random, inner: Kind) -> Kind:
    return Kind(list[inner.type], lambda rng: several(rng, inner), hashable=False)  # type: ignore[name-defined]


def a_tuple(rng: random.Random, inner: Kind) -> Kind:
    return Kind(tuple[inner.type, ...], lambda rng: tuple(several(rng, inner)), inner.hashable)  # type: ignore[name-defined]


def a_pair(rng: random.Random, inner: Kind) -> Kind:
    other = rng.choice(SCALARS)
    both = inner.hashable and other.hashable
    return Kind(tuple[inner.type, other.type], lambda rng: (inner.make(rng), other.make(rng)), both)  # type: ignore[name-defined]


def a_dict(rng: random.Random, inner: Kind) -> Kind:
    key = rng.choice([kind for kind in SCALARS if kind.hashable])
    return Kind(
        dict[key.type, inner.type],  # type: ignore[name-defined]
        lambda rng: {key.make(rng): inner.make(rng) for _ in range(rng.randrange(4))},
        hashable=False,
    )


def a_set(rng: random.Random, inner: Kind) -> Kind:
    item = inner if inner.hashable else rng.choice(SCALARS[:13])
    return Kind(frozenset[item.type], lambda rng: frozenset(several(rng, item)))  # type: ignore[name-defined]


def an_option(rng: random.Random, inner: Kind) -> Kind:
    return Kind(
        inner.type | None,
        lambda rng: None if rng.random() < 0.3 else inner.make(rng),
        inner.hashable,
    )


def a_choice(rng: random.Random, inner: Kind) -> Kind:
    other = rng.choice(SCALARS)
    return Kind(
        Union[inner.type, other.type],  # noqa: UP007 - of types that are only known here
        lambda rng: rng.choice([inner, other]).make(rng),
        inner.hashable and other.hashable,
    )


def a_record(rng: random.Random, inner: Kind) -> Kind:
    return Kind(
        Boxed[inner.type],  # type: ignore[name-defined]
        lambda rng: Boxed(inner.make(rng), rng.choice(TEXTS)),
        inner.hashable,
    )


CONTAINERS = [a_list, a_tuple, a_pair, a_dict, a_set, an_option, a_choice, a_record]


def case(seed: int) -> tuple[Any, Any, Any]:
    """A type, and two values of it (which may be equal)."""
    rng = random.Random(seed)
    kind = a_kind(rng, rng.randrange(4))
    return kind.type, kind.make(rng), kind.make(rng)


def reordered(value: Any) -> Any:
    """The same value, its dicts and sets filled in another order."""
    if type(value) is dict:
        return {reordered(key): reordered(each) for key, each in reversed(value.items())}
    if type(value) is frozenset:
        return frozenset(sorted(map(reordered, value), key=repr, reverse=True))
    if type(value) in (list, tuple):
        return type(value)(map(reordered, value))
    if type(value) is Boxed:
        return Boxed(reordered(value.content), value.note)
    return value
