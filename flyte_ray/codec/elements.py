"""What a stored container is made of: a digest for each element, worked out when somebody asks.

An element has the digest that it would have as a value of its own, so that a list of results joins
the results. Nothing of this is computed when a value is stored, except for elements that are values
of other codecs (arrays, files, pickles), whose digests are there anyway: signing each element of a
list of records costs as much as storing it, and most lists are never asked about.

Rule: the name of the stored type (`list[flow.Row]`) tells the type of each element; where it does
not, the element's own JSON does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flyte_ray.codec.codec import Node
from flyte_ray.codec.plain import AS, PAIRS, leaf_of, sign
from flyte_ray.codec.writing import JSON
from flyte_ray.core.digest import Digest
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import ValueStore

MOST_ELEMENTS = 10_000
"""Larger containers are followed as a whole, not by element."""

_TAGS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "None"}
_SCALARS = frozenset(_TAGS.values())


def leaf_digests(node: Node) -> tuple[Digest, ...]:
    """The digests of a container all of whose elements are leaves; empty for any other node."""
    parts = node if type(node) is list else list(node.values()) if type(node) is dict else ()
    if not 0 < len(parts) <= MOST_ELEMENTS:
        return ()
    found = []
    for part in parts:
        leaf = leaf_of(part)
        if leaf is None:
            return ()
        found.append(str(leaf["digest"]))
    return tuple(found)


def element_digests(value: EncodedValue, store: ValueStore) -> dict[str, Digest]:
    """Path (`[0]`, `['key']`) to digest of each element of a container; empty for other values.

    Costs one read of the store where the value is large; a value that is gone has no elements.
    """
    return {path: sign(tag, part) for path, tag, part in elements(value, store)}


def elements(value: EncodedValue, store: ValueStore) -> Iterator[tuple[str, str, Node]]:
    """Path, type name and node of each element; of a record, its fields."""
    node = _node_of(value, store)
    if type(node) is dict and len(node) == 1 and AS in node:
        node = node[AS][1]
    inner = _inner_types(value.type)
    if type(node) is list and len(node) <= MOST_ELEMENTS:
        for place, part in enumerate(node):
            yield f"[{place}]", _tag_of(part, _type_at(inner, place)), part
    elif type(node) is dict and len(node) <= MOST_ELEMENTS:
        pairs = node[PAIRS] if len(node) == 1 and PAIRS in node else list(node.items())
        is_record = bool(pairs) and not value.type.startswith("dict")
        for key, part in pairs:
            path = f".{key}" if is_record else f"[{key!r}]"
            yield path, _tag_of(part, inner[-1] if len(inner) == 2 else None), part


def _node_of(value: EncodedValue, store: ValueStore) -> Node:
    if value.codec != JSON:
        return None
    try:
        text: Any = value.inline if value.inline is not None else store.get(value.key or "")
        return json.loads(text)
    except (OSError, ValueError):
        return None


def _tag_of(node: Node, declared: str | None) -> str:
    """The type name under which a value of its own would be stored."""
    if type(node) is dict and len(node) == 1 and AS in node:
        return str(node[AS][0]).replace(":", ".")
    own = _TAGS.get(type(node))
    declared = (declared or "Any").removesuffix(" | None").removeprefix("None | ")
    if own == "None" or declared == "Any" or " | " in declared:
        return own or ("list" if type(node) is list else "dict")
    if own is not None and declared in _SCALARS:
        return own
    bare = declared.partition("[")[0]
    is_plain = "." not in declared and bare in ("list", "dict", "tuple", "set", "frozenset")
    return bare if is_plain else declared


def _type_at(inner: list[str], place: int) -> str | None:
    if len(inner) == 1 or (len(inner) == 2 and inner[1] == "..."):
        return inner[0]
    return inner[place] if place < len(inner) else None


def _inner_types(name: str) -> list[str]:
    """`dict[str, list[int]]` -> `["str", "list[int]"]`."""
    _, opened, rest = name.partition("[")
    if not opened or not rest.endswith("]"):
        return []
    parts, depth, begin = [], 0, 0
    text = rest[:-1]
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [*parts, text[begin:].strip()]
