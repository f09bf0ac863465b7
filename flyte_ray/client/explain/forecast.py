"""What a run would do: which calls the cache would answer, which would run, and for how long.

Nothing runs. The root's own cache key is asked for as a run would ask. What it would call is only
known from earlier runs of the same task: the nearest of them is gone through call by call, with the
code that is loaded now. A call is "cached" or "runs" where its inputs are certain; it "depends"
where something before it will come out differently, or nobody can tell.

Inputs are certain where lineage leads to inputs of the root that are equal now, element by element,
and through calls whose code is unchanged (equal code and inputs are taken to give equal results).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc

from flyte_ray.author import registry
from flyte_ray.author.live_code import forget_live_code
from flyte_ray.client.explain.overlay import OverlayBlobs
from flyte_ray.client.explain.rehearsal import Rehearsal, Step
from flyte_ray.client.session import Session
from flyte_ray.core.callee import Callee
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import CacheEntry
from flyte_ray.engine.attempt import types_of
from flyte_ray.engine.blueprint import cache_basis
from flyte_ray.errors import FlyteRayError
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.values import RunValues

MOST_RUNS = 20
"""Earlier runs of the task that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known of a run before it is started."""

    task: str
    basis: str | None
    """The earlier run that tells of the calls below the root; None without one."""
    steps: Sequence[Step]
    """The root first."""

    def count(self, verdict: str) -> int:
        """Calls with that verdict."""
        return sum(step.count for step in self.steps if step.verdict == verdict)

    @property
    def work_s(self) -> float:
        """Seconds that the calls which run, or may run, usually take together, one by one."""
        return sum(
            (step.usual_s or 0.0) * step.count
            for step in self.steps
            if step.verdict != "cached" and not step.is_parent
        )


def forecast(
    session: Session, task: Callee, inputs: Mapping[str, Any], *, uses_cache: bool = True
) -> Forecast:
    """Say what `run(task, **inputs)` would do.

    Raises:
        TypeError: the arguments do not fit the task.
    """
    forget_live_code()
    with tempfile.TemporaryDirectory(prefix="flyte-ray-plan-") as folder:
        values = RunValues(OverlayBlobs(session.blobs()), RunName("plan"), raw_data_path=folder)
        bound = task.interface.bind(**inputs)
        owner = f"task {task.name!r}, input"
        payload = session.codecs.encode(bound, types_of(task.interface), values, owner)
        return _Forecaster(session, values, uses_cache).forecast(task, payload)


class _Forecaster:
    """Goes through the nearest earlier run."""

    def __init__(self, session: Session, values: RunValues, uses_cache: bool) -> None:
        self._session = session
        self._catalog = Catalog(session.blobs())
        self._values = values
        self._uses_cache = uses_cache
        self._usual: dict[str, float] = {}
        self._found: dict[str, CacheEntry | None] = {}

    def forecast(self, task: Callee, payload: Payload) -> Forecast:
        found = self._cached(task, payload)
        if found is not None:
            step = Step(task=task.name, verdict="cached", reason=f"by {found}")
            return Forecast(task=task.name, basis=None, steps=[step])
        runs = self._earlier_runs(task.name)
        self._usual = self._usual_times(runs)
        root = Step(
            task=task.name,
            verdict="runs",
            reason=self._why_not_cached(task),
            usual_s=self._usual.get(task.name),
        )
        basis = self._nearest(runs, payload)
        if basis is None:
            return Forecast(task=task.name, basis=None, steps=[root])
        walk = Rehearsal(self, basis, payload, self._catalog, self._values)
        steps = walk.steps(task)
        parted = walk.input_changes()
        reason = f"{root.reason}; other inputs than in {basis}: {parted}" if parted else root.reason
        root = replace(root, is_parent=bool(steps), reason=reason)
        return Forecast(task=task.name, basis=basis, steps=[root, *steps])

    def usual_s(self, task: str) -> float | None:
        """What a call of the task usually takes."""
        return self._usual.get(task)

    def verdict(self, name: str, payload: Payload) -> tuple[str, str]:
        """Verdict and reason for a call whose inputs are certain."""
        task = next(registry.tasks_named(name), None)
        if task is None:
            return "depends", "its task is not loaded by this file"
        found = self._cached(task, payload)
        if found is not None:
            return "cached", f"by {found}"
        return "runs", self._why_not_cached(task)

    def _why_not_cached(self, task: Callee) -> str:
        if not task.options.cache.is_enabled():
            return "not cached"
        return "no result for its key" if self._uses_cache else "the cache is not used"

    def _cached(self, task: Callee, payload: Payload) -> str | None:
        """The run and action whose result would answer; None where it would run."""
        key = self._key(task, payload)
        if key is None:
            return None
        self._look_up([key])
        entry, cache = self._found[key], task.options.cache
        if entry is None:
            return None
        age_s = time.time() - entry.created_us / 1e6
        if cache.max_age and age_s > cache.max_age.total_seconds():
            return None
        keys = [each.key for each in Payload.from_json(entry.outputs).values.values() if each.key]
        whole = all(self._session.blobs().exists(key) for key in keys)
        return f"{entry.run}/{entry.action_id[:10]}" if whole else None

    def prepare(self, calls: Iterable[tuple[str, Payload]]) -> None:
        """Ask the cache for many calls at once; `verdict` then answers from memory."""
        keys = []
        for name, payload in calls:
            task = next(registry.tasks_named(name), None)
            key = self._key(task, payload) if task is not None else None
            if key is not None:
                keys.append(key)
        self._look_up(keys)

    def _key(self, task: Callee, payload: Payload) -> str | None:
        """The cache key of a call; None where the cache is not asked."""
        cache = task.options.cache
        if not self._uses_cache or not cache.is_enabled():
            return None
        types, owner = types_of(task.interface), f"task {task.name!r}, input"
        try:
            payload = self._session.codecs.renewed(payload, types, self._values, owner)
        except FlyteRayError:
            return None  # what it was given then cannot be read by this code: another call
        return cache_basis(task).key(payload.digest_without(cache.ignored_inputs))

    def _look_up(self, keys: Sequence[str]) -> None:
        fresh = [key for key in keys if key not in self._found]
        if fresh:
            hits = self._session.cache().look_up(fresh)
            self._found.update({key: hits.get(key) for key in fresh})

    def _earlier_runs(self, task: str) -> list[str]:
        return [record.name for record in self._catalog.runs(MOST_RUNS, task=task)]

    def _nearest(self, runs: Iterable[str], payload: Payload) -> str | None:
        """The run with the most equal inputs; of these a success, then the latest."""
        best: tuple[int, bool, int] | None = None
        name = None
        for place, run in enumerate(runs):
            record = self._catalog.run(run)
            old = record.spec.inputs.values
            parted = sum(
                key not in old or old[key].identity != value.identity
                for key, value in payload.values.items()
            )
            cached = self._catalog.actions(run).get(ROOT_ACTION)
            if cached is None or cached.cached:
                continue  # answered as a whole: it knows nothing of what lies below
            rank = (parted, not record.phase.is_success, place)
            if best is None or rank < best:
                best, name = rank, run
        return name

    def _usual_times(self, runs: Iterable[str]) -> dict[str, float]:
        times: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            table = self._catalog.action_table(run, ["task", "duration_ms", "cached", "status"])
            mask = pc.and_(pc.invert(table["cached"]), pc.equal(table["status"], "succeeded"))
            for row in table.filter(mask).to_pylist():
                if row["duration_ms"] is not None:
                    times[row["task"]].append(row["duration_ms"] / 1000)
        return {task: statistics.median(each) for task, each in times.items()}
