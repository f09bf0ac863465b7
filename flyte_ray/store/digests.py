"""What the payloads of actions say of their values, without the values: digests, and what tells.

Read once for all tables of a run. The digests of elements stand in a payload where they were there
anyway (files, arrays); those of plain containers a `LookInside` works out, which is handed in by
the floors that know how values are stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyte_ray.core.digest import digest_of_digests
from flyte_ray.core.ids import RunName

_TELLING_BYTES = 32
_SCALARS = frozenset({"int", "float", "str", "bool", "None", "NoneType"})

LookInside = Callable[[Mapping[str, Any]], Iterable[tuple[str, str, bool]]]
"""Path, digest and whether it tells, of each element of a plain container; of other values none.
Given a value as it stands in a payload (`EncodedValue.to_dict`)."""


InsideOf = Callable[[RunName], LookInside]
"""The one for a run: it may keep count of what it has looked at there."""


def look_nowhere(value: Mapping[str, Any]) -> Iterable[tuple[str, str, bool]]:
    """The `LookInside` of those who want recorded elements only."""
    return ()


class Mark(NamedTuple):
    """Where in a payload something stands."""

    name: str
    element: int | None = None
    """Position in a list; None for the whole, and for keys and fields."""
    path: str | None = None
    """`[3]`, `['key']` or `.field`; None for the whole."""


class Part(NamedTuple):
    """A value or an element of one."""

    mark: Mark
    digest: str
    tells: bool
    """An equal one elsewhere is this one, and not one like it."""
    hints: bool
    """It tells, or is (in) a value that was seen to be handed on."""


class Contents:
    """One payload. Elements are worked out when they are asked for, and not kept."""

    __slots__ = ("_look_inside", "_values", "whole")

    def __init__(self, values: Mapping[str, Any], look_inside: LookInside = look_nowhere) -> None:
        self._values = values
        self._look_inside = look_inside
        self.whole = [_part(name, value) for name, value in values.items()]
        """The values themselves."""

    @property
    def digest(self) -> str:
        """`Payload.digest`, without making values of what is only hashed."""
        return digest_of_digests({part.mark.name: part.digest for part in self.whole})

    def elements(self, name: str) -> Iterator[Part]:
        """The elements of one of them."""
        value = self._values[name]
        if value.get("type") in _SCALARS:
            return
        recorded = value.get("elements")
        if recorded:
            for number, digest in enumerate(recorded):
                yield Part(Mark(name, number, f"[{number}]"), digest, True, True)
            return
        passed = bool(value.get("passed"))
        for path, digest, tells in self._look_inside(value):
            inner = path[1:-1]
            element = int(inner) if inner.isdecimal() else None
            yield Part(Mark(name, element, path), digest, tells, tells or passed)


_WHOLE: dict[str, Mark] = {}
"""Marks of whole values by name: a few names stand for the values of millions of actions."""

NOTHING = Contents({})


def contents_of(
    payloads: Sequence[str | None], look_inside: LookInside = look_nowhere
) -> list[Contents]:
    """The contents of many payloads; nothing where there is none."""
    return [
        Contents(values, look_inside) if values else NOTHING for values in parsed_objects(payloads)
    ]


def parsed_objects(texts: Sequence[str | None]) -> list[dict[str, Any]]:
    """The JSON objects of many texts; empty ones where there is none.

    In one go: one call of the parser each would take twice as long.
    """
    found: list[dict[str, Any]] = json.loads(f"[{','.join([text or '{}' for text in texts])}]")
    if len(found) != len(texts):
        raise ValueError("a JSON text of the record holds more than one value")
    return found


def _part(name: str, value: Mapping[str, Any]) -> Part:
    mark = _WHOLE.get(name) or _WHOLE.setdefault(name, Mark(name))
    tells = _tells(value)
    return Part(mark, value["digest"], tells, tells or "passed" in value)


def _tells(value: Mapping[str, Any]) -> bool:
    if value.get("key") is not None or value.get("codec") != "json":
        return True
    return value.get("type") not in _SCALARS and value.get("size", 0) >= _TELLING_BYTES
