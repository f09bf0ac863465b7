"""Where a value came from, and what was made of it: a walk over the edges of the record.

Back: from an output through the task that made it to its inputs, to whoever gave these, and so on
to the inputs of the run, across cached and recovered results into the runs that computed them.
Forward: the same edges the other way, into later runs that took a result over.

The rule to know: a task is a black box, so its output came from all of its inputs. A task that
calls others is followed inside: an output that a child returned came from that child alone; one
that its own code made came from its inputs and from those children whose results went nowhere else
("control").
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flyte_ray.client.explain.origins import Edge, Place, edges_of, origin_of, values_at
from flyte_ray.client.explain.reference import find_action, find_place, split
from flyte_ray.core.ids import RunName
from flyte_ray.core.payload import EncodedValue
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunNotFoundError, UnsupportedValueError
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord
from flyte_ray.store.values import RunValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A step of the walk, from a place to one that is further off."""

    kind: str
    """That of the `Edge`, or "task": through a task, from its inputs to its outputs."""
    near: Place
    """Where the walk stood; the element of it that the step begins at, where that is known."""
    far: Place


@dataclass(slots=True, kw_only=True)
class Graph:
    """What a walk has seen."""

    forward: bool
    starts: list[Place]
    links: dict[Place, list[Link]] = field(default_factory=dict)
    """By the near end; every place that was visited has an entry."""
    values: dict[Place, EncodedValue | None] = field(default_factory=dict)
    """None where the record does not hold the value (any more)."""
    actions: dict[tuple[str, str], ActionRecord] = field(default_factory=dict)

    def edges(self) -> Iterator[tuple[str, Place, Place]]:
        """Kind, source and target of every link, in the direction in which the data went."""
        for links in self.links.values():
            for link in links:
                ends = (link.near, link.far) if self.forward else (link.far, link.near)
                yield link.kind, *ends


def lineage(blobs: Blobs, reference: str, *, forward: bool = False) -> Graph:
    """The lineage of `RUN`, `RUN/ACTION` or `RUN/ACTION/VALUE[element]`.

    Without a value: that of all outputs, or, forward, of all inputs. Reads the book of each run
    that the walk comes to; forward it reads those of all runs, to see what they took over.

    Raises:
        RunNotFoundError: there is no such run.
        ActionNotFoundError: the run has no such action.
        UnsupportedValueError: the action has no such value.
    """
    run, action_name, value = split(reference)
    explorer = _Explorer(blobs, forward=forward)
    action = find_action(explorer.catalog, run, action_name)
    if value:
        starts = [find_place(run, action, value)]
    else:
        starts = list(values_at(run, action, "input" if forward else "output"))
    if not starts:
        side = "inputs" if forward else "outputs"
        raise UnsupportedValueError(
            f"action {action.action_id} ({action.task}) of run {run!r} is {action.phase} and has "
            f"no {side}: nothing to follow"
        )
    return explorer.walk(starts)


class _Explorer:
    """Reads runs as the walk comes to them, each once."""

    def __init__(self, blobs: Blobs, *, forward: bool) -> None:
        self.catalog = Catalog(blobs)
        self._blobs = blobs
        self._forward = forward
        self._runs: dict[str, _RunEdges | None] = {}
        self._takers: dict[Place, list[Edge]] | None = None

    def walk(self, starts: list[Place]) -> Graph:
        graph = Graph(forward=self._forward, starts=starts)
        waiting = deque(starts)
        while waiting:
            place = waiting.popleft()
            if place in graph.links:
                continue
            links = list(dict.fromkeys(self._links(place)))
            graph.links[place] = links
            self._describe(graph, place)
            waiting.extend(link.far for link in links)
        return graph

    def _describe(self, graph: Graph, place: Place) -> None:
        known = self.run(place.run)
        action = known.actions.get(place.action) if known is not None else None
        graph.values[place] = None
        if action is not None:
            graph.actions[place.run, place.action] = action
            graph.values[place] = values_at(place.run, action, place.side).get(place.whole)

    def run(self, name: str) -> _RunEdges | None:
        """The run with its edges; None for one that has been removed since."""
        if name not in self._runs:
            try:
                actions = {str(k): v for k, v in self.catalog.actions(name).items()}
                store = RunValues(self._blobs, RunName(name))
                self._runs[name] = _RunEdges(name, actions, edges_of(name, actions, store))
            except RunNotFoundError:
                self._runs[name] = None
        return self._runs[name]

    def _links(self, place: Place) -> Iterator[Link]:
        known = self.run(place.run)
        if known is None or place.action not in known.actions:
            return
        if not self._forward:
            yield from known.before(place)
            return
        yield from known.after(place)
        for edge in self._taken_over(place):
            yield Link(kind=edge.kind, near=place, far=edge.target)

    def _taken_over(self, place: Place) -> list[Edge]:
        """Edges into other runs that were answered by this place's action."""
        if self._takers is None:
            self._takers = defaultdict(list)
            for record in self.catalog.runs(None):
                actions = self.catalog.actions(record.name)
                for action in actions.values():
                    for edge in _takeovers(record.name, action):
                        self._takers[edge.source].append(edge)
        return self._takers.get(place.whole, [])


def _takeovers(run: str, action: ActionRecord) -> Iterator[Edge]:
    origin = origin_of(action)
    if origin is not None:
        kind, source_run, source_action = origin
        for place, value in values_at(run, action, "output").items():
            source = replace(place, run=source_run, action=source_action)
            yield Edge(kind=kind, source=source, target=place, digest=value.digest)


class _RunEdges:
    """One run: its actions, and its edges by both ends."""

    def __init__(
        self, name: str, actions: Mapping[str, ActionRecord], edges: Iterable[Edge]
    ) -> None:
        self.name = name
        self.actions = actions
        self._into: dict[Place, list[Edge]] = defaultdict(list)
        self._out_of: dict[Place, list[Edge]] = defaultdict(list)
        self._children: dict[str | None, list[ActionRecord]] = defaultdict(list)
        for action in actions.values():
            self._children[action.parent_id].append(action)
        for edge in edges:
            self._into[edge.target.whole].append(edge)
            if edge.kind != "control":
                self._out_of[edge.source.whole].append(edge)

    def before(self, place: Place) -> Iterator[Link]:
        """What a value came from, directly."""
        action = self.actions[place.action]
        into = _at_element(self._into.get(place.whole, []), place, lambda edge: edge.target)
        for edge in into:
            if edge.kind != "control":
                far = _carried(place, edge.target, edge.source)
                yield Link(kind=edge.kind, near=_finer(place, edge.target), far=far)
        if place.side == "input":
            if not into or into[0].kind == "control":
                for given in self._inputs_of_parent(action):
                    yield Link(kind="control", near=place, far=given)
        elif not into:
            for given in values_at(self.name, action, "input"):
                yield Link(kind="task", near=place, far=given)
            for result in self._loose_ends(place.action):
                yield Link(kind="control", near=place, far=result)

    def after(self, place: Place) -> Iterator[Link]:
        """What was made of a value, directly."""
        action = self.actions[place.action]
        out = _at_element(self._out_of.get(place.whole, []), place, lambda edge: edge.source)
        for edge in out:
            far = _carried(place, edge.source, edge.target)
            yield Link(kind=edge.kind, near=_finer(place, edge.source), far=far)
        if place.side == "input":
            if origin_of(action) is None:
                for made in self._own_results(action):
                    yield Link(kind="task", near=place, far=made)
                for child in self._children[place.action]:
                    for given in self._given_by_code(child):
                        yield Link(kind="control", near=place, far=given)
        elif not out and (parent := self.actions.get(action.parent_id or "")) is not None:
            for made in self._own_results(parent):
                yield Link(kind="control", near=place, far=made)

    def _inputs_of_parent(self, action: ActionRecord) -> list[Place]:
        """Whatever the parent's code may have made a value from."""
        parent = self.actions.get(action.parent_id or "")
        return [] if parent is None else list(values_at(self.name, parent, "input"))

    def _own_results(self, action: ActionRecord) -> list[Place]:
        """Outputs that no child returned: the action's own code made them."""
        return [
            place for place in values_at(self.name, action, "output") if not self._into.get(place)
        ]

    def _given_by_code(self, child: ActionRecord) -> Iterator[Place]:
        for place in values_at(self.name, child, "input"):
            if all(edge.kind == "control" for edge in self._into.get(place, ())):
                yield place

    def _loose_ends(self, parent_id: str) -> list[Place]:
        """Results of children that went into no other child."""
        return [
            place
            for child in self._children[parent_id]
            for place in values_at(self.name, child, "output")
            if not self._out_of.get(place)
        ]


def _finer(place: Place, end: Place) -> Place:
    """The place itself, or the element of it where an edge begins."""
    return end if end.element and not place.element else place


def _carried(place: Place, near: Place, far: Place) -> Place:
    """The far end; the same element of it where whole values were handed on."""
    is_whole = not near.element and not far.element
    return replace(far, element=place.element) if is_whole else far


def _at_element(edges: list[Edge], place: Place, end: Callable[[Edge], Place]) -> list[Edge]:
    """The edges of one element, where the record tells elements apart; else all of them."""
    if not place.element:
        return edges
    narrow = [edge for edge in edges if end(edge).element in (place.element, "")]
    exact = [edge for edge in narrow if end(edge).element == place.element]
    return exact or narrow
