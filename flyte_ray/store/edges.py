"""What came from what in one run: the edges that its rows show, without reading any value.

Pure. Four kinds besides the plain parent and child: an output that is (or is an element of, or
holds as an element) another action's input; a parent's input handed on to a child; a child's output
in its parent's output; and a result that came out of the cache or of a recovered run.

Two values are taken for one when their digests are equal and the value tells: large ones, files,
frames and whatever has a codec of its own; of small JSON values the ones of some length; of scalars
only those that a process was seen to hand on (`passed`), for a 7 may be equal by chance.

An input may have come from several actions with equal results. Then those with the same parent
count, the latest `MOST_SOURCES` that ended before it was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray.core.ids import ActionId
from flyte_ray.store.fold import ActionRecord

MOST_SOURCES = 8
_TELLING_BYTES = 32
_SCALARS = frozenset({"int", "float", "str", "bool", "None", "NoneType"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One row of the edges table; `docs/record.md` says what its fields mean."""

    kind: str
    dst_action: ActionId
    src_action: ActionId | None = None
    src_run: str | None = None
    src_name: str | None = None
    src_element: int | None = None
    dst_name: str | None = None
    dst_element: int | None = None
    value_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class _Spot:
    """A value, or an element of one, of an action."""

    action: ActionRecord
    name: str
    element: int | None


@dataclass(frozen=True, slots=True)
class Digests:
    """What a payload says of its values, without the values: read once, used by every table."""

    whole: tuple[tuple[str, str, bool], ...] = ()
    """Name, digest, and whether the digest tells."""
    elements: tuple[tuple[str, int, str], ...] = ()
    """Name, position and digest of each recorded element."""

    def __iter__(self) -> Iterator[tuple[str, int | None, str, bool]]:
        """Name, element, digest, and whether the digest tells."""
        for name, digest, tells in self.whole:
            yield name, None, digest, tells
        for name, element, digest in self.elements:
            yield name, element, digest, True


Spots = Mapping[str, tuple[str, int | None]]
"""Name and element by digest."""

Payloads = Mapping[ActionId, tuple[Digests, Digests]]
"""Of each action its inputs and its outputs."""


def read_payloads(actions: Mapping[ActionId, ActionRecord]) -> Payloads:
    """The digests in all payloads of a run."""
    return {
        each.action_id: (_digests(each.inputs_json), _digests(each.outputs_json))
        for each in actions.values()
    }


def edges_of(
    run: str, actions: Mapping[ActionId, ActionRecord], payloads: Payloads | None = None
) -> Iterator[Edge]:
    """The edges of a run, those of one destination together. `payloads`: if they are read."""
    payloads = read_payloads(actions) if payloads is None else payloads
    made: dict[str, list[_Spot]] = {}
    for each in actions.values():
        for name, element, digest, _ in payloads[each.action_id][1]:
            made.setdefault(digest, []).append(_Spot(each, name, element))
    # Of parents only, and once: a parent of ten thousand may have a list of ten thousand.
    given: dict[ActionId | None, Spots] = {}
    returned: dict[ActionId | None, Spots] = {}
    for parent in {each.parent_id for each in actions.values()}:
        if parent is not None and parent in payloads:
            given[parent], returned[parent] = map(_by_digest, payloads[parent])
    for each in actions.values():
        inputs, outputs = payloads[each.action_id]
        yield from _edges_into(run, each, actions, made, (inputs, given.get(each.parent_id, {})))
        yield from _results(run, each, outputs, returned.get(each.parent_id, {}))


def _edges_into(
    run: str,
    action: ActionRecord,
    actions: Mapping[ActionId, ActionRecord],
    made: Mapping[str, list[_Spot]],
    received: tuple[Digests, Spots],
) -> Iterator[Edge]:
    """`received`: the action's inputs, and where the inputs of its parent stand."""
    parent = action.parent_id
    if parent is not None and parent in actions:
        yield Edge(kind="control", src_run=run, src_action=parent, dst_action=action.action_id)
    origin = action.attrs.get("cached_from") or action.attrs.get("recovered_from")
    if isinstance(origin, str) and "/" in origin:
        source_run, _, source_action = origin.rpartition("/")
        yield Edge(
            kind="cache",
            src_run=source_run,
            src_action=ActionId(source_action),
            dst_action=action.action_id,
        )
    inputs, arguments = received
    for name, element, digest, tells in inputs:
        if not tells:
            continue
        for spot in _sources(action, made.get(digest, ())):
            yield Edge(
                kind="data",
                src_run=run,
                src_action=spot.action.action_id,
                src_name=spot.name,
                src_element=spot.element,
                dst_action=action.action_id,
                dst_name=name,
                dst_element=element,
                value_sha256=digest,
            )
        if digest in arguments:
            yield Edge(
                kind="argument",
                src_run=run,
                src_action=parent,
                src_name=arguments[digest][0],
                src_element=arguments[digest][1],
                dst_action=action.action_id,
                dst_name=name,
                dst_element=element,
                value_sha256=digest,
            )


def _results(run: str, action: ActionRecord, outputs: Digests, returned: Spots) -> Iterator[Edge]:
    """A child's outputs that stand in its parent's outputs."""
    if action.parent_id is None:
        return
    for name, element, digest, tells in outputs:
        if tells and digest in returned:
            yield Edge(
                kind="result",
                src_run=run,
                src_action=action.action_id,
                src_name=name,
                src_element=element,
                dst_action=action.parent_id,
                dst_name=returned[digest][0],
                dst_element=returned[digest][1],
                value_sha256=digest,
            )


def _sources(action: ActionRecord, spots: Iterable[_Spot]) -> list[_Spot]:
    """The spots from which an input can have come; see the top."""
    asked_us = action.submitted_us or action.started_us or action.ended_us or 0
    able = [
        spot
        for spot in spots
        if spot.action.action_id not in (action.action_id, action.parent_id)
        and (spot.action.ended_us or 0) <= asked_us
    ]
    siblings = [spot for spot in able if spot.action.parent_id == action.parent_id]
    able = siblings or able
    whole = [spot for spot in able if spot.element is None]
    return (whole or able)[-MOST_SOURCES:]


def _digests(payload: str | None) -> Digests:
    if payload is None:
        return Digests()
    values: dict[str, Any] = json.loads(payload)
    return Digests(
        tuple((name, value["digest"], _tells(value)) for name, value in values.items()),
        tuple(
            (name, number, digest)
            for name, value in values.items()
            for number, digest in enumerate(value.get("elements", ()))
        ),
    )


def _by_digest(values: Digests) -> Spots:
    found: dict[str, tuple[str, int | None]] = {}
    for name, element, digest, _ in values:
        found.setdefault(digest, (name, element))
    return found


def _tells(value: Mapping[str, Any]) -> bool:
    if value.get("passed") or value.get("key") is not None or value.get("codec") != "json":
        return True
    return value.get("type") not in _SCALARS and value.get("size", 0) >= _TELLING_BYTES
