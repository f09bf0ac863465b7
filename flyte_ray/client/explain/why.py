"""Why an action ran, was answered from the cache, or was recovered.

An action runs where nothing answered for it. Then the nearest earlier call of its task is looked
for (fewest components that differ, the latest of these) and each component that differs is named:
the first of them that counts is the reason.

Cost: the actions of the run, and of the last `MOST_RUNS` runs before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from flyte_ray.client.explain.origins import origin_of
from flyte_ray.client.explain.parting import (
    Difference,
    Side,
    code_differences,
    key_differences,
    value_differences,
    version_differences,
)
from flyte_ray.client.explain.reference import find_action, split
from flyte_ray.client.progress_view import SHORT_ID
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import RunNotFoundError
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord

MOST_RUNS = 50
_COLUMNS = ("action_id", "task", "status", "task_identity", "inputs", "submitted_at", "cache_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A call that an action is compared with."""

    run: str
    action: str
    status: str
    cache_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What the record says about the reason of an action."""

    run: str
    action: str
    task: str
    verdict: str
    """One of "cached", "recovered", "ran", "waiting"."""
    reason: str
    """A sentence."""
    cache_key: str | None
    nearest: Earlier | None = None
    differences: Sequence[Difference] = ()


def why(blobs: Blobs, reference: str) -> Why:
    """The reason of `RUN/ACTION` (`RUN`: of its root).

    Raises:
        RunNotFoundError: there is no such run.
        ActionNotFoundError: the run has no such action.
    """
    run_name, action_name, _ = split(reference)
    catalog = Catalog(blobs)
    action = find_action(catalog, run_name, action_name)
    run = catalog.spec(run_name)
    origin = origin_of(action)
    if origin is not None:
        return _answered(catalog, run, action, origin)
    if action.kind != "task":
        reason = f"a {action.kind} runs wherever the run's own book has no result for it yet"
        return _made(run, action, "ran", reason)
    return _Search(blobs, catalog, run, action).explain()


def reach_of(actions: Mapping[Any, ActionRecord], identity: str) -> Mapping[str, Any]:
    """What the task of that identity is made of, as the run's first row of it says; or nothing."""
    for action in actions.values():
        if action.identity == identity and isinstance(action.attrs.get("reach"), dict):
            reach: Mapping[str, Any] = action.attrs["reach"]
            return reach
    return {}


def _answered(
    catalog: Catalog, run: RunSpec, action: ActionRecord, origin: tuple[str, str, str]
) -> Why:
    kind, source_run, source_action = origin
    status = "no longer recorded"
    try:
        source = catalog.actions(source_run).get(source_action)  # type: ignore[call-overload]  # an id read from the record
        status = source.phase.value if source is not None else status
    except RunNotFoundError:
        pass
    earlier = Earlier(
        run=source_run, action=source_action, status=status, cache_key=action.cache_key
    )
    if kind == "cache":
        reason = (
            f"its cache key was found: {source_run}/{source_action[:SHORT_ID]} had the same task, "
            "version, interface and inputs"
        )
        return _made(run, action, "cached", reason, nearest=earlier)
    reason = (
        f"run {run.name} recovers {run.source_run or source_run}, where the same call "
        "(place, code and inputs) had succeeded"
    )
    return _made(run, action, "recovered", reason, nearest=earlier)


def _made(
    run: RunSpec,
    action: ActionRecord,
    verdict: str,
    reason: str,
    *,
    nearest: Earlier | None = None,
    differences: Sequence[Difference] = (),
) -> Why:
    return Why(
        run=run.name,
        action=action.action_id,
        task=action.task,
        verdict=verdict,
        reason=reason,
        cache_key=action.cache_key,
        nearest=nearest,
        differences=differences,
    )


class _Search:
    """Looks for the nearest earlier call, and says in what this one differs."""

    def __init__(self, blobs: Blobs, catalog: Catalog, run: RunSpec, action: ActionRecord) -> None:
        self._blobs = blobs
        self._catalog = catalog
        self._run = run
        self._action = action
        self._inputs = action.inputs or Payload()
        self._ignored = tuple(action.attrs.get("ignored_inputs") or ())

    def explain(self) -> Why:
        action, run = self._action, self._run
        began = bool(action.attempts) or action.phase.is_terminal
        verdict = "ran" if began else "waiting"
        found = self._nearest()
        policy = self._policy()
        if found is None:
            reason = policy or f"no earlier call of {action.task} is recorded in this store"
            return _made(run, action, verdict, reason)
        earlier, before = found
        differences = self._differences(before)
        counting = [each for each in differences if each.counts]
        reason = policy or self._reason(earlier, before, counting)
        return _made(run, action, verdict, reason, nearest=earlier, differences=differences)

    def _policy(self) -> str | None:
        """Why no earlier result was asked for, if none was."""
        run, action = self._run, self._action
        if action.action_id in run.force_rerun_actions:
            return "the run was told to run it again (force_rerun_actions)"
        if run.recover or action.cache_key is not None:
            if run.overwrite_cache and action.cache_key is not None:
                return "the run replaces cached results (overwrite_cache)"
            return None
        if run.disable_cache:
            return "the run neither reads nor writes cached results (disable_run_cache)"
        return "its task is not cached, so it runs whenever it is called"

    def _reason(self, earlier: Earlier, before: Side, counting: Sequence[Difference]) -> str:
        where = f"{earlier.run}/{earlier.action[:SHORT_ID]}"
        if counting:
            names = ", ".join(dict.fromkeys(f"{each.kind} {each.name}" for each in counting[:4]))
            more = f" and {len(counting) - 4} more" if len(counting) > 4 else ""
            return f"no earlier call was equal; the nearest, {where}, differs in {names}{more}"
        if not before.action.phase.is_success:
            return f"the equal call {where} {earlier.status}: there was no result to reuse"
        ended, asked = before.action.ended_us or 0, self._action.submitted_us or 0
        if ended > asked:
            return f"the equal call {where} had not ended yet"
        if self._action.cache_key is None:
            return f"the equal call {where} was not cached"
        return (
            f"the equal result of {where} could not be used: too old (max_age), its values "
            "removed, or not published yet when it was asked for"
        )

    def _differences(self, before: Side) -> list[Difference]:
        after = Side(
            run=self._run,
            action=self._action,
            reach=reach_of(self._catalog.actions(self._run.name), self._action.identity),
        )
        old = before.action.inputs or Payload()
        found = list(
            value_differences(self._blobs, old, self._inputs, kind="input", ignored=self._ignored)
        )
        code = code_differences(self._blobs, before, after)
        key = list(key_differences(before.action, self._action))
        if code:  # the version is a digest of the code: the code itself says more
            key = [each for each in key if each.kind != "version"]
        return [*found, *code, *key, *version_differences(before.run, self._run)]

    # ------------------------------------------------------------------------ the nearest call

    def _nearest(self) -> tuple[Earlier, Side] | None:
        best: tuple[tuple[int, bool, float], str, str] | None = None
        for name in self._runs_before():
            for row in self._calls_in(name):
                rank = self._rank(row)
                if best is None or rank < best[0]:
                    best = (rank, name, row["action_id"])
            if best is not None and best[0][0] == 0:
                break
        if best is None:
            return None
        _, name, action_id = best
        actions = self._catalog.actions(name)
        action = next(each for each in actions.values() if each.action_id == action_id)
        side = Side(
            run=self._catalog.spec(name), action=action, reach=reach_of(actions, action.identity)
        )
        earlier = Earlier(
            run=name, action=action_id, status=action.phase.value, cache_key=action.cache_key
        )
        return earlier, side

    def _runs_before(self) -> list[str]:
        started = self._run.started_us
        runs = [
            str(record.name) for record in self._catalog.runs(None) if record.started_us <= started
        ]
        others = [name for name in runs if name != self._run.name]
        source = [name for name in others if name == self._run.source_run]
        return list(dict.fromkeys([*source, str(self._run.name), *others]))[: MOST_RUNS + 1]

    def _calls_in(self, run: str) -> Iterator[dict[str, Any]]:
        """Calls of the same task there, made before this one."""
        try:
            table = self._catalog.action_table(run, _COLUMNS)
        except RunNotFoundError:
            return
        mine = self._action
        for row in table.filter(pc.equal(table.column("task"), mine.task)).to_pylist():
            at = row["submitted_at"]
            is_later = run == self._run.name and (
                row["action_id"] == mine.action_id
                or at is None
                or at.timestamp() * 1e6 >= (mine.submitted_us or 0)
            )
            is_root = row["action_id"] == ROOT_ACTION
            if not is_later and (is_root or row["inputs"]):
                yield row

    def _rank(self, row: Mapping[str, Any]) -> tuple[int, bool, float]:
        """Fewer is nearer: differing components, then successes, then the latest."""
        given = Payload.from_json(row["inputs"] or "{}").values
        other = {name: value.identity for name, value in given.items()}
        mine = {name: value.identity for name, value in self._inputs.values.items()}
        parted = sum(
            other.get(name) != mine.get(name)
            for name in {*other, *mine}
            if name not in self._ignored
        )
        parted += row["task_identity"] != self._action.identity
        succeeded = row["status"] in (ActionPhase.SUCCEEDED.value, ActionPhase.RECOVERED.value)
        at = row["submitted_at"]
        return parted, not succeeded, -(at.timestamp() if at is not None else 0.0)
