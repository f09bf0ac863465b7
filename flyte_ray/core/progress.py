"""How far a run has come: counts per task, the latest failures, the time it took.

A run of ten thousand actions is shown as a dozen counters, never as ten thousand lines. The counts
are kept up by moving one action at a time (`Tally.move`, O(1)), or built at once from the actions
of the record (`progress_of`); both give the same `Progress`.

Pure: who watches brings the clock and the eyes. The rule to know: the columns of `Counts` do not
overlap, so that they add up to the number of actions; a cached success counts as `cached` alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase

RECENT_FAILURES = 5
"""So many failures are kept for show; the record has all of them."""

_COLUMN = {
    ActionPhase.QUEUED: "queued",
    ActionPhase.WAITING_FOR_RESOURCES: "queued",
    ActionPhase.INITIALIZING: "queued",
    ActionPhase.RUNNING: "running",
    ActionPhase.PAUSED: "running",
    ActionPhase.SUCCEEDED: "succeeded",
    ActionPhase.FAILED: "failed",
    ActionPhase.ABORTED: "aborted",
    ActionPhase.TIMED_OUT: "timed_out",
    ActionPhase.RECOVERED: "recovered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many actions stand where. The columns do not overlap."""

    queued: int = 0
    """Asked for, waiting for a worker, or being set up."""
    running: int = 0
    """Running, or paused on a condition."""
    succeeded: int = 0
    """Ran here and have outputs."""
    failed: int = 0
    aborted: int = 0
    timed_out: int = 0
    recovered: int = 0
    """Adopted from the run that this one recovers."""
    cached: int = 0
    """Answered by the cache."""

    @property
    def total(self) -> int:
        """All actions known so far."""
        return self.done + self.queued + self.running

    @property
    def done(self) -> int:
        """Actions to which nothing will happen any more."""
        return self.succeeded + self.cached + self.recovered + self.unsuccessful

    @property
    def unsuccessful(self) -> int:
        """Actions that ended without outputs."""
        return self.failed + self.aborted + self.timed_out

    def __add__(self, other: Counts) -> Counts:
        names = (f.name for f in fields(self))
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentFailure:
    """One action that ended badly, for people who watch."""

    task: str
    action_id: ActionId
    message: str
    """One line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One look at a run. Equal looks compare equal but for `elapsed_s`."""

    run: RunName
    phase: ActionPhase
    """The root's phase."""
    tasks: Mapping[str, Counts] = field(default_factory=dict)
    """Counts by task, in the order in which the tasks first appeared."""
    failures: tuple[RecentFailure, ...] = ()
    """The latest failures, oldest first; at most `RECENT_FAILURES`."""
    elapsed_s: float = 0.0
    root_task: str = ""
    """The task of the root action, where known; it is counted in `tasks` like any other."""
    notice: str = ""
    """What holds the whole run up, one line; empty when nothing does."""

    @property
    def totals(self) -> Counts:
        """The counts of all tasks together."""
        return sum(self.tasks.values(), Counts())


class Tally:
    """Counters that follow a run, one move at a time. Not thread-safe: one owner moves it.

    A failure message is kept apart from the move (`fail`), since a phase changes more often than
    there is something to say.
    """

    def __init__(self, root_task: str = "") -> None:
        self._root_task = root_task
        self._columns: dict[str, dict[str, int]] = {}
        self._failures: deque[RecentFailure] = deque(maxlen=RECENT_FAILURES)

    def move(
        self,
        task: str,
        old: ActionPhase | None,
        new: ActionPhase,
        cached: bool = False,
    ) -> None:
        """Count an action of `task` that went from `old` (None: it is new) to `new`."""
        columns = self._columns.setdefault(task, {})
        if old is not None:
            left = _COLUMN[old]
            columns[left] = columns.get(left, 0) - 1
        entered = "cached" if cached and new is ActionPhase.SUCCEEDED else _COLUMN[new]
        columns[entered] = columns.get(entered, 0) + 1

    def fail(self, task: str, action_id: ActionId, message: str) -> None:
        """Remember a failure for show; the oldest one makes room."""
        text = message.strip().partition("\n")[0]
        self._failures.append(RecentFailure(task=task, action_id=action_id, message=text))

    def snapshot(self, run: RunName, phase: ActionPhase, elapsed_s: float) -> Progress:
        """The counts as a value of their own; later moves do not change it."""
        return Progress(
            run=run,
            phase=phase,
            tasks={task: Counts(**columns) for task, columns in self._columns.items()},
            failures=tuple(self._failures),
            elapsed_s=elapsed_s,
            root_task=self._root_task,
        )


def progress_of(
    run: RunName,
    phase: ActionPhase,
    actions: Iterable[tuple[str, ActionPhase, bool, str | None]],
    *,
    failures: Iterable[RecentFailure] = (),
    elapsed_s: float = 0.0,
    notice: str = "",
) -> Progress:
    """The progress of a run whose actions are known.

    Args:
        run: the run's name.
        phase: the root's phase.
        actions: per action (task, phase, cached, parent id or None for the root).
        failures: what went wrong, oldest first; the latest few are kept.
        elapsed_s: seconds since the run began.
        notice: what holds it up.
    """
    listed = list(actions)
    root_task = next((task for task, _, _, parent in listed if parent is None), "")
    tally = Tally(root_task)
    for task, action_phase, cached, _ in listed:
        tally.move(task, None, action_phase, cached)
    for failure in failures:
        tally.fail(failure.task, failure.action_id, failure.message)
    return replace(tally.snapshot(run, phase, elapsed_s), notice=notice)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Display names of tasks: without their environment, where that leaves no two alike."""
    full = list(dict.fromkeys(names))
    shortened = [name.rpartition(".")[2] for name in full]
    return {
        name: short if shortened.count(short) == 1 else name
        for name, short in zip(full, shortened, strict=True)
    }
