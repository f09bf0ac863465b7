"""Elements of stored containers for whoever follows the values of a whole run.

`elements` answers for one value; here are the limits for thousands: containers of more than
`MOST_ELEMENTS` elements or `LARGEST_BYTES` are not opened, nor more than `MOST_READS` that lie in
objects of their own, nor any after `MOST_IN_ALL` elements. What was found for the latest values is
remembered, for an output is often looked at again as an input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyte_ray.codec.elements import elements
from flyte_ray.codec.plain import leaf_of, sign, text_of
from flyte_ray.codec.writing import JSON
from flyte_ray.core.digest import Digest
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import ValueStore

SHORTEST_TELLING_BYTES = 32
"""Plain values of fewer bytes may be equal by chance."""
LARGEST_BYTES = 4 * 1024 * 1024
MOST_READS = 256
MOST_IN_ALL = 1_000_000
_REMEMBERED = 64

Part = tuple[str, Digest, bool]
"""Path, digest, and whether an equal value elsewhere is this one, and not one like it."""


def parts_of(value: EncodedValue, store: ValueStore) -> Iterator[Part]:
    """The elements of one value; see `elements` for the costs."""
    for path, tag, node in elements(value, store):
        telling = leaf_of(node) is not None or len(text_of(node)) >= SHORTEST_TELLING_BYTES
        yield path, sign(tag, node), telling


class Insides:
    """Elements of the values of one run, as they stand in its payloads. Not thread-safe."""

    def __init__(self, store: ValueStore) -> None:
        self._store = store
        self._reads = MOST_READS
        self._elements = MOST_IN_ALL
        self._known: dict[Digest, Sequence[Part]] = {}

    def __call__(self, value: Mapping[str, Any]) -> Sequence[Part]:
        """The elements; none of what is no container, is gone, or beyond the limits."""
        if value.get("codec") != JSON or value.get("size", 0) > LARGEST_BYTES:
            return ()
        digest = value["digest"]
        known = self._known.get(digest)
        if known is None:
            known = self._look(EncodedValue.from_dict(value))
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        return known

    def _look(self, value: EncodedValue) -> Sequence[Part]:
        if self._elements <= 0:
            return ()
        if value.inline is None:
            if self._reads <= 0:
                return ()
            self._reads -= 1
        found = list(parts_of(value, self._store))
        self._elements -= len(found)
        return found
