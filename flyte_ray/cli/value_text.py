"""A stored value as text or plain data: itself where it is short, else what it is and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flyte_ray.codec.elements import elements
from flyte_ray.codec.plain import leaf_of, text_of
from flyte_ray.core.payload import EncodedValue, Payload

LONGEST_SHOWN = 60
LONGEST_STORED = 200


def shown(value: EncodedValue | None) -> str:
    """What fits on a line of a tree or a list."""
    if value is None:
        return "(no longer recorded)"
    if value.codec == "json" and value.inline is not None:
        return _cut(value.inline)
    return f"{value.type}, {size_text(value.size_bytes)}, sha256 {value.digest[:12]}"


def shown_element(value: EncodedValue | None, path: str) -> str | None:
    """The same of one element; None where it cannot be told without reading the store."""
    if value is None or value.codec != "json" or value.inline is None:
        return None
    node = _parts(value.type, value.inline).get(path)
    if node is None:
        return None
    leaf = leaf_of(node)
    return shown(EncodedValue.from_dict(leaf)) if leaf is not None else _cut(text_of(node))


@lru_cache(maxsize=16)
def _parts(type_name: str, inline: str) -> dict[str, Any]:
    whole = EncodedValue(codec="json", type=type_name, digest="", size_bytes=0, inline=inline)
    nowhere: Any = None  # an inline value is read from no store
    return {path: node for path, _, node in elements(whole, nowhere)}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def size_text(size_bytes: int) -> str:
    """`1.5 MiB`."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def values_of(payload: Payload | None) -> Mapping[str, Any] | None:
    """The values of a payload as plain data, by name."""
    if payload is None:
        return None
    return {name: _plain_value(value) for name, value in payload.values.items()}


def _plain_value(value: EncodedValue) -> Any:
    """The value where it stands in the record as JSON, else where to find it."""
    if value.inline is not None:
        try:
            return json.loads(value.inline)
        except ValueError:
            return value.inline
    return {
        "type": value.type,
        "codec": value.codec,
        "key": value.key,
        "size_bytes": value.size_bytes,
    }


def stored_text(value: EncodedValue) -> str:
    """One value in a table: its text, cut, or its place in the store."""
    if value.inline is None:
        return f"{value.key} ({value.size_bytes} bytes)"
    text = value.inline
    return text if len(text) <= LONGEST_STORED else f"{text[: LONGEST_STORED - 1]}…"
