"""Where two runs part: first in what they were asked, then in values, code, time and cost.

Actions are paired down the tree: those with the same id (same place, code and inputs) first, the
others by task and group in the order of their calls. The first pair that differs by itself is where
the runs part; a parent whose children explain the difference is not it.

Cost is seconds of work: what all attempts took, waiting not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flyte_ray.client.explain.parting import (
    Difference,
    Side,
    code_differences,
    value_differences,
    version_differences,
)
from flyte_ray.client.explain.why import reach_of
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.store.catalog import Catalog, RunRecord
from flyte_ray.store.fold import ActionRecord

Pair = tuple[ActionRecord | None, ActionRecord | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSide:
    """One of the two runs in short."""

    run: str
    status: str
    took_s: float | None
    work_s: float
    """Seconds that all attempts took together."""
    ran: int
    cached: int
    recovered: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """A pair of actions that differ."""

    task: str
    before: str | None
    """Id of the action in the first run; None where it has none."""
    after: str | None
    reasons: tuple[str, ...]
    """Of "code", "inputs", "outputs", "status", "missing", "new"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTimes:
    """What the calls of one task took in both runs."""

    task: str
    before_calls: int
    after_calls: int
    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs side by side."""

    before: RunSide
    after: RunSide
    first: Parting | None
    """Where they part; None for runs that agree in all but time."""
    differences: Sequence[Difference]
    """Of the first pair."""
    others: Sequence[Parting]
    """Further pairs that differ by themselves, in order."""
    code: Sequence[Difference]
    """What differs in the code of the tasks below the first pair."""
    tasks: Sequence[TaskTimes]
    packages: Sequence[Difference]


def compare(blobs: Blobs, before: str, after: str) -> Comparison:
    """Compare two runs.

    Raises:
        RunNotFoundError: one of them is not in the store.
    """
    catalog = Catalog(blobs)
    old, new = _Run(catalog, before), _Run(catalog, after)
    partings = list(_partings(old, new))
    first = partings[0] if partings else None
    return Comparison(
        before=old.side(),
        after=new.side(),
        first=first[0] if first else None,
        differences=_differences(blobs, old, new, first[1]) if first else (),
        others=[parting for parting, _ in partings[1:]],
        code=_code(blobs, old, new, partings[1:]),
        tasks=_times(old, new),
        packages=list(version_differences(old.spec, new.spec)),
    )


class _Run:
    """A run with its actions by parent."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self.record: RunRecord = catalog.run(name)
        self.spec: RunSpec = self.record.spec
        self.actions: Mapping[str, ActionRecord] = {
            str(key): each for key, each in catalog.actions(name).items()
        }
        self.children: dict[str | None, list[ActionRecord]] = defaultdict(list)
        for each in self.actions.values():
            self.children[each.parent_id].append(each)

    def side(self) -> RunSide:
        tasks = [each for each in self.actions.values() if each.kind == "task"]
        ended = self.record.ended_us
        return RunSide(
            run=self.record.name,
            status=self.record.phase.value,
            took_s=None if ended is None else (ended - self.record.started_us) / 1e6,
            work_s=sum(map(_work_s, tasks)),
            ran=sum(bool(each.attempts) for each in tasks),
            cached=sum(each.cached for each in tasks),
            recovered=sum(each.phase.value == "recovered" for each in tasks),
            failed=sum(each.phase.value in ("failed", "timed_out") for each in tasks),
        )

    def as_side(self, action: ActionRecord) -> Side:
        return Side(run=self.spec, action=action, reach=reach_of(self.actions, action.identity))


def _partings(old: _Run, new: _Run) -> Iterator[tuple[Parting, Pair]]:
    """The pairs that differ by themselves, parents before children, in the order of the calls."""
    explained: set[tuple[int, str]] = set()  # parents below which something differs
    found: list[tuple[Parting, Pair]] = []
    for pair in reversed(list(_pairs(old, new))):
        reasons = _reasons(pair)
        own = {"code", "inputs", "missing", "new"} & set(reasons)
        sides = [(number, each) for number, each in enumerate(pair) if each is not None]
        is_explained = any((number, each.action_id) in explained for number, each in sides)
        if reasons or is_explained:
            explained.update((n, each.parent_id) for n, each in sides if each.parent_id)
        if reasons and (own or not is_explained):
            before, after = pair
            parting = Parting(
                task=sides[0][1].task,
                before=before.action_id if before else None,
                after=after.action_id if after else None,
                reasons=tuple(reasons),
            )
            found.append((parting, pair))
    yield from reversed(found)


def _pairs(old: _Run, new: _Run) -> Iterator[Pair]:
    waiting: list[Pair] = [(old.actions.get(ROOT_ACTION), new.actions.get(ROOT_ACTION))]
    while waiting:
        pair = waiting.pop()
        before, after = pair
        if before is None and after is None:
            continue
        yield pair
        if before is not None and after is not None:
            inner = _paired(old.children[before.action_id], new.children[after.action_id])
            waiting.extend(reversed(inner))


def _paired(before: Sequence[ActionRecord], after: Sequence[ActionRecord]) -> list[Pair]:
    same = {each.action_id: each for each in after}
    taken = {each.action_id for each in before} & set(same)
    rest: dict[tuple[str, str | None], list[ActionRecord]] = defaultdict(list)
    for each in after:
        if each.action_id not in taken:
            rest[each.task, each.group].append(each)
    pairs: list[Pair] = []
    for each in before:
        if each.action_id in taken:
            pairs.append((each, same[each.action_id]))
            continue
        alike = rest[each.task, each.group]
        pairs.append((each, alike.pop(0) if alike else None))
    return [*pairs, *((None, each) for alike in rest.values() for each in alike)]


def _reasons(pair: Pair) -> list[str]:
    before, after = pair
    if before is None or after is None:
        return ["new" if before is None else "missing"]
    found = []
    if before.identity != after.identity:
        found.append("code")
    if _identities(before.inputs) != _identities(after.inputs):
        found.append("inputs")
    if before.phase.is_success != after.phase.is_success:
        found.append("status")
    elif before.phase.is_success and _digests(before.outputs) != _digests(after.outputs):
        found.append("outputs")
    return found


def _identities(payload: Payload | None) -> dict[str, str]:
    return {name: value.identity for name, value in (payload or Payload()).values.items()}


def _digests(payload: Payload | None) -> dict[str, str]:
    return {name: value.digest for name, value in (payload or Payload()).values.items()}


def _differences(blobs: Blobs, old: _Run, new: _Run, pair: Pair) -> list[Difference]:
    before, after = pair
    if before is None or after is None:
        return []
    inputs = before.inputs or Payload(), after.inputs or Payload()
    outputs = before.outputs or Payload(), after.outputs or Payload()
    found = list(value_differences(blobs, *inputs, kind="input"))
    found += code_differences(blobs, old.as_side(before), new.as_side(after))
    if before.outputs is not None and after.outputs is not None:
        found += value_differences(blobs, *outputs, kind="output")
    return found


def _code(
    blobs: Blobs, old: _Run, new: _Run, partings: Sequence[tuple[Parting, Pair]]
) -> list[Difference]:
    """Each changed component once, from one pair of each task."""
    pairs: dict[tuple[str, str], tuple[ActionRecord, ActionRecord]] = {}
    for parting, (before, after) in partings:
        if "code" in parting.reasons and before is not None and after is not None:
            pairs.setdefault((before.identity, after.identity), (before, after))
    found: dict[tuple[str, str], Difference] = {}
    for before, after in pairs.values():
        for each in code_differences(blobs, old.as_side(before), new.as_side(after)):
            found.setdefault((each.kind, each.name), each)
    return list(found.values())


def _times(old: _Run, new: _Run) -> list[TaskTimes]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
    for place, run in enumerate((old, new)):
        for each in run.actions.values():
            if each.kind == "task":
                sums[each.task][place] += 1
                sums[each.task][place + 2] += _work_s(each)
    rows = [
        TaskTimes(
            task=task,
            before_calls=int(calls_a),
            after_calls=int(calls_b),
            before_s=seconds_a,
            after_s=seconds_b,
        )
        for task, (calls_a, calls_b, seconds_a, seconds_b) in sums.items()
    ]
    return sorted(rows, key=lambda row: -abs(row.after_s - row.before_s))


def _work_s(action: ActionRecord) -> float:
    spans = [
        each.ended_us - each.started_us
        for each in action.attempts
        if each.started_us is not None and each.ended_us is not None
    ]
    return max(0, sum(spans)) / 1e6
