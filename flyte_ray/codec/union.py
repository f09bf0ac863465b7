"""The form of `A | B`: exact class first, then coercion, never a guess.

Nodes of plain members stand as they are, since plain JSON tells their classes; a single other
member beside None too. Otherwise a node says its member's name: `{"$as": ["date", ...]}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyte_ray.codec.codec import REFUSALS, Form, Mismatch, Node, Reader, Writer
from flyte_ray.codec.plain import AS, text_of


class UnionForm:
    """One of several annotations."""

    def __init__(self, members: Sequence[Form], anything: Form) -> None:
        # `A | B` and `B | A` are one key of Python's caches, so the order must count for nothing.
        self.members = members = tuple(sorted(members, key=_place))
        self.name = " | ".join(dict.fromkeys(form.name for form in members))
        self.plain = all(form.plain for form in members)
        self._anything = anything
        others = [form for form in members if not form.plain]
        self._only_other = (
            others[0] if len(others) == 1 and _none_is_all_else(members, others[0]) else None
        )
        self._labels = _labels(self.members)

    def _choose(self, value: Any, writer: Writer | None) -> tuple[Form, Node]:
        first: tuple[Form, Node] | None = None
        refused: Mismatch | None = None
        for form in self.members:
            if not form.fits(value):
                continue
            if writer is None:
                return form, None
            try:
                return form, form.dump(value, writer)
            except REFUSALS as refusal:
                refused = refused or (refusal if isinstance(refusal, Mismatch) else None)
        for form in self.members:
            if writer is None:
                break
            try:
                node = form.dump(value, writer)
            except REFUSALS:
                continue
            if first and text_of(first[1]) != text_of(node):
                why = f"it could be {first[0].name} as well as {form.name}"
                raise Mismatch(self.name, value, why=why)
            first = first or (form, node)
        if first is None:
            raise refused or Mismatch(self.name, value)
        return first

    def dump(self, value: Any, writer: Writer) -> Node:
        form, node = self._choose(value, writer)
        if form.plain or form is self._only_other:
            return node
        return {AS: [self._labels[self.members.index(form)], node]}

    def load(self, node: Node, reader: Reader) -> Any:
        if type(node) is dict and len(node) == 1 and AS in node:
            label, inner = node[AS]
            if label in self._labels:
                return self.members[self._labels.index(label)].load(inner, reader)
            return self._anything.load(node, reader)
        if node is not None and self._only_other is not None:
            return self._only_other.load(node, reader)
        return self._anything.load(node, reader)

    def fits(self, value: Any) -> bool:
        return any(form.fits(value) for form in self.members)

    def tag(self, value: Any) -> str:
        for form in self.members:
            if form.fits(value):
                return form.tag(value)
        # A value still to be coerced: as far as it is certain, what it will become.
        others = [form for form in self.members if form.name != "None"]
        return others[0].tag(value) if len(others) == 1 else self.name


def _place(form: Form) -> tuple[bool, str]:
    return form.name == "None", form.name


def _none_is_all_else(members: Sequence[Form], other: Form) -> bool:
    return all(form is other or form.name == "None" for form in members)


def _labels(members: Sequence[Form]) -> list[str]:
    """Names of the members, numbered where they would be equal."""
    names = [form.name for form in members]
    return [
        name if names.count(name) == 1 else f"{name}#{place}" for place, name in enumerate(names)
    ]
