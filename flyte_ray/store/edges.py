"""What came from what in one run: the edges that its rows show, action by action.

Pure. Four kinds besides the plain parent and child: an output that is (or is an element of, or
holds as an element) another action's input; a parent's input handed on to a child; a child's output
in its parent's output; and a result that came out of the cache or of a recovered run.

Two values are taken for one when their digests are equal and the value tells: large ones, files,
frames and whatever has a codec of its own; of small JSON values the ones of some length; of scalars
only those that a process was seen to hand on (`passed`), for a 7 may be equal by chance. A value
joins as a whole, else element by element.

An input may have come from several actions with equal results. Then those with the same parent
count, the latest `MOST_SOURCES` that ended before it was asked for; of equal scalars the last one,
and of equal ones that were gathered each in its turn. Looked for among the `MOST_LOOKS` latest that
have the value, so the edges of a run cost time in proportion to its values.

Memory: some 150 bytes per output, and per element of an output up to `MOST_ELEMENTS` of a run; for
the elements after those no edge is found.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import NamedTuple

from flyte_ray.core.ids import ActionId
from flyte_ray.store.digests import (
    Contents,
    LookInside,
    Mark,
    Part,
    contents_of,
    look_nowhere,
)
from flyte_ray.store.fold import ActionRecord

MOST_SOURCES = 8
MOST_LOOKS = 1000
MOST_ELEMENTS = 1_000_000
_DIGEST_LENGTH = 64


class Edge(NamedTuple):
    """One row of the edges table; `docs/record.md` says what its fields mean."""

    kind: str
    dst_action: ActionId
    src_run: str | None = None
    src_action: ActionId | None = None
    src_name: str | None = None
    src_element: int | None = None
    dst_name: str | None = None
    dst_element: int | None = None
    value_sha256: str | None = None
    src_path: str | None = None
    dst_path: str | None = None


class EdgeFinder:
    """Finds the edges of one run. Parents must come before their children, makers before users.

    Args:
        run: its name.
        places: every action of the run, numbered in the order in which they come.
        parents: those that others name as theirs.
    """

    def __init__(
        self, run: str, places: Mapping[ActionId, int], parents: Container[ActionId]
    ) -> None:
        self._run = run
        self._places = places
        self._is_parent = parents.__contains__
        self._made = _Made(places)
        self._given: dict[ActionId, dict[str, Part]] = {}
        self._returned: dict[ActionId | None, dict[str, list[Part]]] = {}
        self._turns: Counter[tuple[ActionId, str]] = Counter()

    def edges_of(self, action: ActionRecord, inputs: Contents, outputs: Contents) -> Iterator[Edge]:
        """The edges into an action, and from it into its parent's outputs."""
        place = self._places[action.action_id]
        parent = action.parent_id
        self._made.enter(place, -1 if parent is None else self._places.get(parent, -1), action)
        yield from self._whence(action)
        yield from _part_by_part(inputs, lambda part, turn: self._into(action, part, turn))
        if self._returned.get(parent):
            yield from _part_by_part(outputs, lambda part, _: self._result(action, part))
        for part in outputs.whole:
            self._made.add(part, place)
            if self._made.takes_elements:
                for element in outputs.elements(part.mark.name):
                    self._made.add(element, place)
        if self._is_parent(action.action_id):
            given = self._given[action.action_id] = {}
            for part in _all(inputs):
                given.setdefault(part.digest, part)
            returned = self._returned[action.action_id] = {}
            for part in _all(outputs):
                returned.setdefault(part.digest, []).append(part)

    def _whence(self, action: ActionRecord) -> Iterator[Edge]:
        target, parent = action.action_id, action.parent_id
        if parent is not None and parent in self._places:
            yield Edge("control", target, self._run, parent)
        origin = action.attrs.get("cached_from") or action.attrs.get("recovered_from")
        if isinstance(origin, str) and "/" in origin:
            source_run, _, source_action = origin.rpartition("/")
            yield Edge("cache", target, source_run, ActionId(source_action))

    def _into(self, action: ActionRecord, part: Part, turn: int) -> Iterator[Edge]:
        """What an input (or an element of one) may have been."""
        if not part.hints:
            return
        if part.tells or part.mark.path is None:
            most = MOST_SOURCES if part.tells else 1
            sources = self._made.sources(action, part.digest, most)
        elif sources := self._made.sources(action, part.digest, MOST_LOOKS):
            sources = [sources[min(turn, len(sources) - 1)]]
        for source, mark in sources:
            yield self._edge("data", (source, mark), (action.action_id, part.mark), part)
        parent = action.parent_id
        argument = self._given.get(parent, {}).get(part.digest) if parent is not None else None
        if parent is not None and argument is not None:
            yield self._edge(
                "argument", (parent, argument.mark), (action.action_id, part.mark), part
            )

    def _result(self, action: ActionRecord, part: Part) -> Iterator[Edge]:
        """An output (or an element of one) that stands in the parent's outputs."""
        parent = action.parent_id
        places = self._returned[parent].get(part.digest) if parent is not None else None
        if parent is None or not places or not (part.tells or places[0].hints):
            return
        turn = 0 if part.tells else self._turns[parent, part.digest]
        self._turns[parent, part.digest] += not part.tells
        found = places[min(turn, len(places) - 1)]
        yield self._edge("result", (action.action_id, part.mark), (parent, found.mark), part)

    def _edge(
        self, kind: str, source: tuple[ActionId, Mark], target: tuple[ActionId, Mark], part: Part
    ) -> Edge:
        (src_action, src), (dst_action, dst) = source, target
        return Edge(
            kind, dst_action, self._run, src_action, src.name, src.element, dst.name, dst.element,
            part.digest, src.path, dst.path,
        )  # fmt: skip


class _Made:
    """The outputs so far, newest first per digest: lists linked in arrays, for there are many."""

    def __init__(self, places: Mapping[ActionId, int]) -> None:
        self._places = places
        self._ids = list(places)
        self._parents = array("q", bytes(8 * len(places)))
        self._ended_us = array("q", bytes(8 * len(places)))
        self._newest: dict[int | str, int] = {}
        self._earlier = array("q")
        self._makers = array("q")
        self._where = array("q")
        self._marks: list[Mark] = []
        self._numbers: dict[Mark, int] = {}
        self._elements = 0

    @property
    def takes_elements(self) -> bool:
        """False once there are too many."""
        return self._elements < MOST_ELEMENTS

    def enter(self, place: int, parent: int, action: ActionRecord) -> None:
        """Note of an action what decides whether another may have used its outputs."""
        self._parents[place] = parent
        self._ended_us[place] = action.ended_us or 0

    def add(self, part: Part, place: int) -> None:
        """An output of the action at that place, or an element of one."""
        self._elements += part.mark.path is not None
        number = self._numbers.get(part.mark)
        if number is None:
            number = self._numbers[part.mark] = len(self._marks)
            self._marks.append(part.mark)
        key = _short(part.digest)
        self._earlier.append(self._newest.get(key, -1))
        self._newest[key] = len(self._makers)
        self._makers.append(place)
        self._where.append(number)

    def sources(self, action: ActionRecord, digest: str, most: int) -> list[tuple[ActionId, Mark]]:
        """From where an input can have come, the latest ones, oldest first; see the top."""
        spot = self._newest.get(_short(digest), -1)
        asked_us = action.submitted_us or action.started_us or action.ended_us or 0
        place = self._places[action.action_id]
        parent = self._parents[place]
        ranks: tuple[list[int], ...] = ([], [], [], [])
        looks = 0
        while spot >= 0 and looks < MOST_LOOKS and len(ranks[0]) < most:
            maker = self._makers[spot]
            if self._ended_us[maker] <= asked_us and maker != place and maker != parent:
                is_part = self._marks[self._where[spot]].path is not None
                ranks[2 * (self._parents[maker] != parent) + is_part].append(spot)
            spot = self._earlier[spot]
            looks += 1
        best = next((spots for spots in ranks if spots), [])
        return [
            (self._ids[self._makers[spot]], self._marks[self._where[spot]])
            for spot in reversed(best[:most])
        ]


def edges_of(
    run: str,
    actions: Mapping[ActionId, ActionRecord],
    look_inside: LookInside = look_nowhere,
) -> Iterator[Edge]:
    """The edges of a run whose actions are at hand, those of one destination together."""
    places = {action: place for place, action in enumerate(actions)}
    finder = EdgeFinder(
        run, places, {each.parent_id for each in actions.values() if each.parent_id}
    )
    inputs = contents_of([each.inputs_json for each in actions.values()], look_inside)
    outputs = contents_of([each.outputs_json for each in actions.values()], look_inside)
    for action, given, returned in zip(actions.values(), inputs, outputs, strict=True):
        yield from finder.edges_of(action, given, returned)


def _part_by_part(
    contents: Contents, edges: Callable[[Part, int], Iterator[Edge]]
) -> Iterator[Edge]:
    """The edges of each value as a whole; of one that has none, those of its elements.

    `edges` is told how many equal elements came before.
    """
    for part in contents.whole:
        found = list(edges(part, 0))
        yield from found
        if found:
            continue
        turns: Counter[str] = Counter()
        for element in contents.elements(part.mark.name):
            yield from edges(element, turns[element.digest])
            turns[element.digest] += 1


def _all(contents: Contents) -> Iterator[Part]:
    """Values, then elements."""
    yield from contents.whole
    for part in contents.whole:
        yield from contents.elements(part.mark.name)


def _short(digest: str) -> int | str:
    """The digest in a third of its memory; 128 bits tell all values of a run apart."""
    try:
        return int(digest[:32], 16) if len(digest) == _DIGEST_LENGTH else digest
    except ValueError:
        return digest
