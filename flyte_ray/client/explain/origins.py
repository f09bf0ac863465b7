"""Which value came from which: the values of one run joined by their digests.

Only values that can have met are joined: under one parent, what a call was given came from the
parent's own inputs or from what an earlier call there returned; what the parent returned came from
the same. A value joins as a whole, else element by element, else as an element of another. Whatever
joins nothing was made by the parent's own code ("control").

The rule to know: equal content proves an origin only where it is telling. Files, arrays, frames,
records and long texts are; a number or a short text joins only if the very object was seen on its
way through the parent (`EncodedValue.passed`), for equal numbers are equal by chance.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from flyte_ray.codec.insides import SHORTEST_TELLING_BYTES, parts_of
from flyte_ray.core.digest import Digest
from flyte_ray.core.payload import EncodedValue, Payload
from flyte_ray.core.ports import ValueStore
from flyte_ray.store.fold import ActionRecord

Actions = Mapping[str, ActionRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands in the record."""

    run: str
    action: str
    side: str
    """"input" or "output"."""
    name: str
    element: str = ""
    """Path inside the value, such as `[3]`; empty for the whole."""

    @property
    def whole(self) -> Place:
        """The value that this one is an element of; itself if it is none."""
        return replace(self, element="") if self.element else self

    def __str__(self) -> str:
        return f"{self.run}/{self.action}/{self.name}{self.element}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One value that became (part of) another."""

    kind: str
    """"data" (equal content), "control" (made by the code of the parent, of which no more is
    known), "cache" or "recovered" (answered from another action)."""
    source: Place
    target: Place
    digest: Digest


@dataclass(frozen=True, slots=True)
class _Value:
    place: Place
    value: EncodedValue
    since_us: int
    """When the call was made that has the value; 0 for values of the parent itself."""


def edges_of(run: str, actions: Actions, store: ValueStore) -> Iterator[Edge]:
    """Every edge of a run; those into a call stand before those out of it.

    Costs one read of the store for each large container that does not join as a whole.
    """
    children: dict[str | None, list[ActionRecord]] = defaultdict(list)
    for action in actions.values():
        children[action.parent_id].append(action)
    for action in actions.values():
        yield from _origin_edges(run, action)
    for parent_id, calls in children.items():
        if parent_id is not None and parent_id in actions:
            yield from _edges_below(run, actions[parent_id], calls, store)


def origin_of(action: ActionRecord) -> tuple[str, str, str] | None:
    """Kind, run and action that answered instead of this one, if another did."""
    for kind, attr in (("cache", "cached_from"), ("recovered", "recovered_from")):
        origin = action.attrs.get(attr)
        if isinstance(origin, str) and "/" in origin:
            source_run, _, source_action = origin.rpartition("/")
            return kind, source_run, source_action
    return None


def values_at(run: str, action: ActionRecord, side: str) -> dict[Place, EncodedValue]:
    """All inputs, or all outputs, of an action."""
    payload = _payload(action.inputs_json if side == "input" else action.outputs_json)
    return {
        Place(run=run, action=action.action_id, side=side, name=name): value
        for name, value in payload.values.items()
    }


def _origin_edges(run: str, action: ActionRecord) -> Iterator[Edge]:
    origin = origin_of(action)
    if origin is None:
        return
    kind, source_run, source_action = origin
    for place, value in values_at(run, action, "output").items():
        source = replace(place, run=source_run, action=source_action)
        yield Edge(kind=kind, source=source, target=place, digest=value.digest)


def _edges_below(
    run: str, parent: ActionRecord, calls: Iterable[ActionRecord], store: ValueStore
) -> Iterator[Edge]:
    known = _Sources(store)
    known.add(_Value(p, v, 0) for p, v in values_at(run, parent, "input").items())
    targets: list[_Value] = []
    for call in calls:
        since_us = call.submitted_us or call.started_us or 0
        known.add(_Value(p, v, since_us) for p, v in values_at(run, call, "output").items())
        targets += [_Value(p, v, since_us) for p, v in values_at(run, call, "input").items()]
    if origin_of(parent) is None:
        outputs = values_at(run, parent, "output").items()
        targets += [_Value(p, v, 2**63) for p, v in outputs]
    for target in targets:
        found = False
        for edge in known.edges_to(target):
            found = True
            yield edge
        if not found and target.place.side == "input":
            maker = Place(run=run, action=parent.action_id, side="input", name="")
            yield Edge(
                kind="control", source=maker, target=target.place, digest=target.value.digest
            )


class _Sources:
    """The values under one parent that others may have come from."""

    def __init__(self, store: ValueStore) -> None:
        self._store = store
        self._values: list[_Value] = []
        self._whole: dict[Digest, list[_Value]] = defaultdict(list)
        self._parts: dict[Digest, list[_Value]] | None = None

    def add(self, values: Iterable[_Value]) -> None:
        for each in values:
            self._values.append(each)
            self._whole[each.value.digest].append(each)

    def edges_to(self, target: _Value) -> Iterator[Edge]:
        value, place = target.value, target.place
        if is_telling(value) or value.passed:
            found = list(self._matches(target, value.digest, place))
            if found:
                # An equal number may have been handed through several calls: the last had it last.
                yield from found if is_telling(value) else found[-1:]
                return
        turns: dict[Digest, int] = defaultdict(int)
        for path, digest, telling in parts_of(value, self._store):
            if telling or value.passed:
                found = list(self._matches(target, digest, replace(place, element=path)))
                if not telling and found:
                    # Of equal numbers that were gathered, the first came from the first call.
                    found = [found[min(turns[digest], len(found) - 1)]]
                    turns[digest] += 1
                yield from found

    def _matches(self, target: _Value, digest: Digest, place: Place) -> Iterator[Edge]:
        sources = [each for each in self._whole.get(digest, ()) if _may_feed(each, target)]
        if not sources:
            sources = [each for each in self._elements(digest) if _may_feed(each, target)]
        for source in sources:
            yield Edge(kind="data", source=source.place, target=place, digest=digest)

    def _elements(self, digest: Digest) -> list[_Value]:
        if self._parts is None:
            self._parts = defaultdict(list)
            for each in self._values:
                for path, part, _ in parts_of(each.value, self._store):
                    inner = replace(each.place, element=path)
                    self._parts[part].append(_Value(inner, each.value, each.since_us))
        return self._parts.get(digest, [])


def is_telling(value: EncodedValue) -> bool:
    """True where an equal value elsewhere is this value, and not one like it."""
    return value.codec != "json" or value.size_bytes >= SHORTEST_TELLING_BYTES


def _may_feed(source: _Value, target: _Value) -> bool:
    """Not itself, and asked for earlier (by one clock: both were asked for by the same parent)."""
    same = source.place.action == target.place.action
    if same:
        return source.place.side == "input" and target.place.side == "output"
    return source.since_us < target.since_us


def _payload(text: str | None) -> Payload:
    if not text:
        return Payload()
    try:
        return Payload.from_json(text)
    except (ValueError, KeyError, TypeError, json.JSONDecodeError):
        return Payload()  # written by a later release in a form that this one cannot read
