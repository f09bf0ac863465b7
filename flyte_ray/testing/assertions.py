"""What a run did, asserted from its record. Messages list the actions as they stand.

Traces are not counted: they are steps of actions.
"""

from __future__ import annotations

from collections.abc import Callable

from flyte_ray.client.run import Run
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.fold import ActionRecord


def assert_executed(run: Run, count: int, *, task: str | None = None) -> None:
    """Assert that so many actions of the run had their bodies run in it, failed ones included.

    Args:
        run: the run.
        count: how many.
        task: only actions of this task, by full or short name.

    Raises:
        AssertionError: another number did; lists the actions.

    Example:
        >>> assert_executed(run, 3, task="step")  # doctest: +SKIP
    """
    _assert_count(run, count, task, "were executed", _was_executed)


def assert_cached(run: Run, count: int, *, task: str | None = None) -> None:
    """Assert that so many actions of the run were answered by the cache."""
    _assert_count(run, count, task, "were cached", lambda action: action.cached)


def assert_recovered(run: Run, count: int, *, task: str | None = None) -> None:
    """Assert that so many actions of the run were adopted from the run that it recovers."""
    recovered = ActionPhase.RECOVERED
    _assert_count(run, count, task, "were recovered", lambda action: action.phase is recovered)


def _was_executed(action: ActionRecord) -> bool:
    adopted = action.cached or action.phase is ActionPhase.RECOVERED
    return bool(action.attempts) and not adopted


def _assert_count(
    run: Run,
    count: int,
    task: str | None,
    what: str,
    holds: Callable[[ActionRecord], bool],
) -> None:
    actions = [
        action
        for action in run.actions()
        if action.kind == "task" and task in (None, action.task, action.name)
    ]
    found = [action for action in actions if holds(action)]
    if len(found) != count:
        listed = "\n".join(_line(action) for action in actions)
        which = f"actions of {task}" if task else "actions"
        raise AssertionError(
            f"expected that {count} {which} of run {run.name} {what}, but {len(found)} were:\n"
            f"{listed}"
        )


def _line(action: ActionRecord) -> str:
    cached = " (cached)" if action.cached else ""
    attempts = len(action.attempts)
    return f"  {action.action_id} {action.task}: {action.phase.value}{cached}, {attempts} attempts"
