"""Forms of lists, tuples, sets and dicts, typed element by element.

A list whose elements are all of one plain class is checked at C speed and used as its own node. A
set is stored sorted, a dict in its own order (its digest sorts); keys that are no plain strings
make it a `$dict`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flyte_ray.codec.codec import REFUSALS, Form, Mismatch, Node, Reader, Writer, exact_class
from flyte_ray.codec.plain import PAIRS, order_text
from flyte_ray.codec.scalars import BIGGEST_INT, ExactForm


def _are_nodes(values: list[Any], cls: type | None) -> bool:
    """True when all values are of this very class, and so their own nodes."""
    if cls is None or set(map(type, values)) != {cls}:
        return False
    return cls is not int or (max(values) < BIGGEST_INT and min(values) > -BIGGEST_INT)


def dump_all(form: Form, values: Iterable[Any], writer: Writer) -> list[Node]:
    """The node of each value; a refusal says at which place."""
    nodes = []
    for place, value in enumerate(values):
        try:
            nodes.append(form.dump(value, writer))
        except REFUSALS as refusal:
            raise refusal.inside(f"[{place}]") from None
    return nodes


class ListForm:
    """`list[T]`."""

    def __init__(self, item: Form) -> None:
        self.item = item
        self.name = f"list[{item.name}]"
        self.plain = item.plain
        self._tag = "list" if item.plain else self.name
        self._exact = exact_class(item)

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, list):
            raise Mismatch(self.name, value)
        if _are_nodes(value, self._exact):
            return value
        return dump_all(self.item, value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        if _are_nodes(node, self._exact):
            return node
        load = self.item.load
        return [load(each, reader) for each in node]

    def fits(self, value: Any) -> bool:
        return type(value) is list

    def tag(self, value: Any) -> str:
        return self._tag

    def elements(self, value: Any, node: Node) -> Iterator[tuple[str, Node]]:
        tag = self.item.tag
        return ((tag(each), part) for each, part in zip(value, node, strict=True))


class TupleForm:
    """`tuple[T, ...]`; a list is accepted, since JSON has no tuples."""

    def __init__(self, item: Form) -> None:
        self.item = item
        self.name = f"tuple[{item.name}, ...]"
        self.plain = False
        self._tag = "tuple" if item.plain else self.name

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, tuple | list):
            raise Mismatch(self.name, value)
        return dump_all(self.item, value, writer)

    def load(self, node: Node, reader: Reader) -> Any:
        return tuple([self.item.load(each, reader) for each in node])

    def fits(self, value: Any) -> bool:
        return type(value) is tuple

    def tag(self, value: Any) -> str:
        return self._tag

    def elements(self, value: Any, node: Node) -> Iterator[tuple[str, Node]]:
        return ((self.item.tag(each), part) for each, part in zip(value, node, strict=True))


class FixedTupleForm:
    """`tuple[A, B]`: one form per place."""

    def __init__(self, items: tuple[Form, ...]) -> None:
        self.items = items
        self.name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
        self.plain = False
        self._tag = "tuple" if all(item.plain for item in items) else self.name

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, tuple | list):
            raise Mismatch(self.name, value)
        if len(value) != len(self.items):
            raise Mismatch(self.name, value, why=f"it has {len(value)} elements")
        nodes = []
        for place, (item, each) in enumerate(zip(self.items, value, strict=True)):
            try:
                nodes.append(item.dump(each, writer))
            except REFUSALS as refusal:
                raise refusal.inside(f"[{place}]") from None
        return nodes

    def load(self, node: Node, reader: Reader) -> Any:
        parts = zip(self.items, node, strict=True)
        return tuple([item.load(each, reader) for item, each in parts])

    def fits(self, value: Any) -> bool:
        return type(value) is tuple

    def tag(self, value: Any) -> str:
        return self._tag

    def elements(self, value: Any, node: Node) -> Iterator[tuple[str, Node]]:
        parts = zip(self.items, value, node, strict=True)
        return ((item.tag(each), part) for item, each, part in parts)


class SetForm:
    """`set[T]` and `frozenset[T]`, stored in canonical order."""

    plain = False

    def __init__(self, cls: type, item: Form) -> None:
        self.cls = cls
        self.item = item
        self.name = f"{cls.__name__}[{item.name}]"
        self._tag = cls.__name__ if item.plain else self.name

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, set | frozenset):
            raise Mismatch(self.name, value)
        return sorted(dump_all(self.item, value, writer), key=order_text)

    def load(self, node: Node, reader: Reader) -> Any:
        return self.cls([self.item.load(each, reader) for each in node])

    def fits(self, value: Any) -> bool:
        return type(value) is self.cls

    def tag(self, value: Any) -> str:
        return self._tag


def is_plain_key(key: Any) -> bool:
    """True for a key that may stand in a JSON object as it is."""
    return type(key) is str and key[:1] != "$"


def are_plain_keys(keys: Iterable[Any]) -> bool:
    """True when all keys are plain; none counts."""
    # No key has a `$` at all, as a rule: told at C speed.
    return set(map(type, keys)) == {str} and (
        "$" not in "".join(keys) or all(map(is_plain_key, keys))
    )


class DictForm:
    """`dict[K, V]`: a JSON object where all keys are plain strings, else a `$dict` of pairs."""

    def __init__(self, key: Form, value: Form) -> None:
        self.key = key
        self.value = value
        self.name = f"dict[{key.name}, {value.name}]"
        self.plain = key.plain and value.plain
        self._tag = "dict" if self.plain else self.name
        self._str_keys = isinstance(key, ExactForm) and key.cls is str
        self._exact = exact_class(value)

    def dump(self, value: Any, writer: Writer) -> Node:
        if not isinstance(value, dict):
            raise Mismatch(self.name, value)
        if self._is_node(value):
            return value
        pairs = []
        for key, each in value.items():
            try:
                pairs.append([self.key.dump(key, writer), self.value.dump(each, writer)])
            except REFUSALS as refusal:
                raise refusal.inside(f"[{key!r}]") from None
        if all(is_plain_key(pair[0]) for pair in pairs) and (self._str_keys or self.key.plain):
            return dict(pairs)
        writer.mark()
        return {PAIRS: pairs}

    def load(self, node: Node, reader: Reader) -> Any:
        key, value = self.key.load, self.value.load
        return {key(k, reader): value(v, reader) for k, v in pairs_of(node)}

    def _is_node(self, value: dict[Any, Any]) -> bool:
        return (
            self._str_keys
            and _are_nodes(list(value.values()), self._exact)
            and are_plain_keys(value)
        )

    def fits(self, value: Any) -> bool:
        return type(value) is dict

    def tag(self, value: Any) -> str:
        return self._tag

    def elements(self, value: Any, node: Node) -> Iterator[tuple[str, Node]]:
        parts = zip(value.values(), pairs_of(node), strict=True)
        return ((self.value.tag(each), pair[1]) for each, pair in parts)


def pairs_of(node: Node) -> Iterable[Any]:
    """Key and value nodes of either layout of a dict."""
    if len(node) == 1 and PAIRS in node:
        return list(node[PAIRS])
    return list(node.items())
