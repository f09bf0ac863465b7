"""The form of `Any`: values without annotation, told by their own class.

Plain JSON values stand as they are. All else says its class: `{"$as": ["datetime", node]}` for
Python's own and `{"$as": ["package.module:Class", node]}` for records; arrays, files and pickles
are leaves. Records of `__main__`, which other processes cannot import, are pickled by value, but
keep the digest of their fields.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from flyte_ray.codec.classes import CallableForm, ClassForm
from flyte_ray.codec.codec import REFUSALS, Forms, Node, Reader, Writer, type_name
from flyte_ray.codec.containers import dump_all, is_plain_key, pairs_of
from flyte_ray.codec.plain import AS, BIG_INT, PAIRS, VALUE, order_text, sign
from flyte_ray.codec.scalars import BIGGEST_INT, NAIVE_DATETIME

_PLAIN = frozenset((str, float, bool, types.NoneType))
_TAGS: dict[type, str] = {}
for _cls in (str, float, bool, types.NoneType, int, list, dict, tuple, set, frozenset, datetime):
    _TAGS[_cls] = type_name(_cls)
_SEQUENCES: dict[str, type] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


class DynamicForm:
    """Anything."""

    name = "Any"
    plain = True
    exact = object

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._by_class: dict[type, Callable[[Any, Writer], Node]] = {
            int: _dump_int,
            list: self._dump_list,
            dict: self._dump_dict,
            tuple: self._dump_tuple,
            set: self._dump_set,
            frozenset: self._dump_set,
            datetime: _dump_datetime,
        }

    def dump(self, value: Any, writer: Writer) -> Node:
        kind = type(value)
        if kind in _PLAIN:
            return value
        return self._by_class.get(kind, self._dump_other)(value, writer)

    def _dump_list(self, value: list[Any], writer: Writer) -> Node:
        if set(map(type, value)) <= _PLAIN:
            return value
        return dump_all(self, value, writer)

    def _dump_dict(self, value: dict[Any, Any], writer: Writer) -> Node:
        pairs = []
        bare = True
        for key, each in value.items():
            bare = bare and is_plain_key(key)
            try:
                pairs.append([self.dump(key, writer), self.dump(each, writer)])
            except REFUSALS as refusal:
                raise refusal.inside(f"[{key!r}]") from None
        if bare:
            return dict(pairs)
        writer.mark()
        return {PAIRS: pairs}

    def _dump_tuple(self, value: tuple[Any, ...], writer: Writer) -> Node:
        return {AS: ["tuple", dump_all(self, value, writer)]}

    def _dump_set(self, value: Any, writer: Writer) -> Node:
        nodes = sorted(dump_all(self, value, writer), key=order_text)
        return {AS: [type(value).__name__, nodes]}

    def _dump_other(self, value: Any, writer: Writer) -> Node:
        kind = type(value)
        writer.tell(kind)
        form = self._forms.form_of(kind)
        if isinstance(form, ClassForm | CallableForm):
            return writer.pickle(value, kind)
        node = form.dump(value, writer)
        if type(node) is dict and len(node) == 1 and VALUE in node:
            return node
        label = self._forms.label_of(kind)
        if label is None:
            return writer.pickle(value, kind, sign(form.tag(value), node))
        return {AS: [label, node]}

    def load(self, node: Node, reader: Reader) -> Any:
        kind = type(node)
        if kind is list:
            return [self.load(each, reader) for each in node]
        if kind is not dict:
            return node
        if len(node) == 1:
            ((mark, inner),) = node.items()
            if mark[:1] == "$":
                return self._load_marked(mark, inner, node, reader)
        return {key: self.load(value, reader) for key, value in node.items()}

    def _load_marked(self, mark: str, inner: Node, node: Node, reader: Reader) -> Any:
        if mark == VALUE:
            return reader.leaf(node, Any)
        if mark == PAIRS:
            pairs = [(self.load(key, reader), self.load(each, reader)) for key, each in inner]
            try:
                return dict(pairs)
            except TypeError:
                # Keys whose class only the annotation tells, read without it.
                return pairs
        if mark == BIG_INT:
            return int(inner, 16)
        if mark != AS:
            raise ValueError(f"unknown mark {mark!r} in a stored value")
        label, content = inner
        bare = label.partition("[")[0]
        if bare in _SEQUENCES:
            return _SEQUENCES[bare]([self.load(each, reader) for each in content])
        try:
            form = self._forms.form_of(self._forms.class_of(label))
        except LookupError:
            if ":" in label:
                raise
            # A member of a union, which only the annotation knows: its plain content.
            return self.load(content, reader)
        return form.load(content, reader)

    def fits(self, value: Any) -> bool:
        return True

    def tag(self, value: Any) -> str:
        kind = type(value)
        if kind in _TAGS:
            return _TAGS[kind]
        return self._forms.form_of(kind).tag(value)

    def elements(self, value: Any, node: Node) -> Iterator[tuple[str, Node]]:
        if type(value) is dict:
            inner = [pair[1] for pair in pairs_of(node)]
            return zip(map(self.tag, value.values()), inner, strict=True)
        if type(node) is dict:
            node = node[AS][1]
        return zip(map(self.tag, value), node, strict=True)


def _dump_int(value: int, writer: Writer) -> Node:
    return value if -BIGGEST_INT < value < BIGGEST_INT else {BIG_INT: hex(value)}


def _dump_datetime(value: datetime, writer: Writer) -> Node:
    return {AS: ["datetime", NAIVE_DATETIME.dump(value, writer)]}
