"""The calls of an earlier run gone through once more, as they would go with other inputs and code.

Nothing runs. What is certain of a call is asked of `Asks` (the cache, the clock of earlier runs);
this room only decides which calls are certain: those that lineage leads back to inputs of the root
that are equal now, and to calls that come out as they did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from flyte_ray.author import registry
from flyte_ray.client.explain.origins import Edge, edges_of, values_at
from flyte_ray.client.explain.why import reach_of
from flyte_ray.client.inputs import InputChanges, input_changes
from flyte_ray.codec.elements import element_digests
from flyte_ray.core.callee import Callee
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.payload import Payload
from flyte_ray.core.reach import reached
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord
from flyte_ray.store.values import RunValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What would become of one call, or of some alike."""

    task: str
    verdict: str
    """One of "cached", "runs", "depends", "new" (an element that no earlier run had)."""
    reason: str
    count: int = 1
    usual_s: float | None = None
    """Median of its earlier calls, waiting for what they called included; None without any."""
    is_parent: bool = False
    """It calls others, whose time is in its own."""


class Asks(Protocol):
    """What is known of single calls (`forecast`)."""

    def usual_s(self, task: str) -> float | None: ...
    def verdict(self, name: str, payload: Payload) -> tuple[str, str]: ...
    def prepare(self, calls: Iterable[tuple[str, Payload]]) -> None: ...


class Rehearsal:
    """The calls of an earlier run, as they would go now."""

    def __init__(
        self,
        asks: Asks,
        run: str,
        payload: Payload,
        catalog: Catalog,
        values: RunValues,
    ) -> None:
        self._asks = asks
        self._run = run
        self._actions = {str(key): each for key, each in catalog.actions(run).items()}
        self._children: dict[str | None, list[ActionRecord]] = defaultdict(list)
        for each in self._actions.values():
            if each.kind == "task":
                self._children[each.parent_id].append(each)
        self._into: dict[str, list[Edge]] = defaultdict(list)
        for edge in edges_of(run, self._actions, values):
            if edge.target.side == "input":
                self._into[edge.target.action].append(edge)
        self._given = self._digests(payload, values)
        self._payload = payload
        self._values = values
        self._changed: set[str] = set()
        self._shifted: set[str] = set()
        """Tasks that are called more often than then, or on other elements."""

    def input_changes(self) -> InputChanges:
        """Inputs of the root that only one of then and now has."""
        then = self._actions[ROOT_ACTION].inputs or Payload()
        return input_changes(then.values, self._payload.values)

    def steps(self, task: Callee) -> list[Step]:
        """The calls below the root, alike ones together."""
        root = self._actions[ROOT_ACTION]
        if not self._is_unchanged(root, task):
            self._changed.add(ROOT_ACTION)
        fresh = self._new_elements()
        self._shifted = {step.task for step in fresh}
        gone = {each.task for each in self._children[ROOT_ACTION] if self._is_gone(each)}
        self._shifted |= gone
        calls = [each for each in self._actions.values() if each.kind == "task"]
        self._asks.prepare((each.task, each.inputs or Payload()) for each in calls)
        found: list[Step] = []
        waiting = list(self._children[ROOT_ACTION])
        while waiting:
            action = waiting.pop(0)
            if self._is_gone(action):
                continue
            step = self._step(action)
            found.append(step)
            if step.verdict != "cached":
                waiting.extend(self._children[action.action_id])
        return _together([*found, *fresh])

    def _step(self, action: ActionRecord) -> Step:
        name = action.task
        doubt = self._doubt(action)
        if doubt is not None:
            self._changed.add(action.action_id)
            verdict, reason = "depends", doubt
        else:
            verdict, reason = self._asks.verdict(name, action.inputs or Payload())
            task = next(registry.tasks_named(name), None)
            if verdict == "runs" and task is not None and task.identity != action.identity:
                self._changed.add(action.action_id)
                reason = "its code has changed"
        return Step(
            task=name,
            verdict=verdict,
            reason=reason,
            usual_s=self._asks.usual_s(name),
            is_parent=bool(self._children[action.action_id]),
        )

    def _doubt(self, action: ActionRecord) -> str | None:
        """Why its inputs may be others this time."""
        for edge in self._into[action.action_id]:
            source = edge.source.action
            is_gathered = bool(edge.target.element) and edge.source.side == "output"
            if is_gathered and self._actions[source].task in self._shifted:
                return f"follows from {self._actions[source].name}"
            if source not in self._changed:
                continue
            if source != ROOT_ACTION:
                return f"follows from {self._actions[source].name}"
            if edge.kind == "control" or edge.digest not in self._given:
                return (
                    f"follows from the {'code' if edge.kind == 'control' else 'inputs'} of the root"
                )
        return None

    def _is_unchanged(self, root: ActionRecord, task: Callee) -> bool:
        old = {name: each.identity for name, each in (root.inputs or Payload()).values.items()}
        new = {name: each.identity for name, each in self._payload.values.items()}
        # Tasks below it may have changed: that is asked of each of them.
        own = reach_of(self._actions, root.identity).get("own")
        return old == new and own == reached(task.func).own

    def _is_gone(self, action: ActionRecord) -> bool:
        """True for a call on an element of the root's inputs that is not given any more."""
        return any(
            edge.source.action == ROOT_ACTION
            and bool(edge.source.element)
            and edge.digest not in self._given
            for edge in self._into[action.action_id]
        )

    def _new_elements(self) -> list[Step]:
        """Calls that elements of the root's inputs will lead to which no earlier run had."""
        callers: dict[str, str] = {}
        for action in self._children[ROOT_ACTION]:
            for edge in self._into[action.action_id]:
                if edge.source.action == ROOT_ACTION and edge.source.element:
                    callers[edge.source.name] = action.task
        old = values_at(self._run, self._actions[ROOT_ACTION], "input")
        known = {place.name: element_digests(each, self._values) for place, each in old.items()}
        found = []
        for name, task in callers.items():
            if name not in self._payload.values:
                continue  # no input of the root any more: `input_changes` tells it
            now = element_digests(self._payload.values[name], self._values)
            fresh = set(now.values()) - set(known.get(name, {}).values())
            if fresh:
                usual_s = self._asks.usual_s(task)
                reason = f"new in {name}"
                found.append(
                    Step(task=task, verdict="new", reason=reason, count=len(fresh), usual_s=usual_s)
                )
        return found

    @staticmethod
    def _digests(payload: Payload, values: RunValues) -> set[str]:
        found = set()
        for value in payload.values.values():
            found.add(value.digest)
            found.update(element_digests(value, values).values())
        return found


def _together(steps: Iterable[Step]) -> list[Step]:
    groups: dict[tuple[str, str, str], list[Step]] = defaultdict(list)
    for step in steps:
        reason = "by earlier runs" if step.verdict == "cached" else step.reason
        groups[step.task, step.verdict, reason].append(step)
    return [
        Step(
            task=task,
            verdict=verdict,
            reason=alike[0].reason if len(alike) == 1 else reason,
            count=sum(step.count for step in alike),
            usual_s=alike[0].usual_s,
            is_parent=any(step.is_parent for step in alike),
        )
        for (task, verdict, reason), alike in groups.items()
    ]
