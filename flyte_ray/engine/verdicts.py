"""Errors that the engine itself passes on an action: too late, no longer wanted, lost, wrong.

Each names the run, the action and the next step. Nothing is raised here.
"""

from __future__ import annotations

from flyte_ray import errors
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.failure import ErrorInfo, from_exception


def _where(spec: AttemptSpec) -> str:
    return f"task {spec.task!r} (action {spec.action_id} of run {spec.run.name})"


def deadline_error(spec: AttemptSpec) -> ErrorInfo:
    """All attempts together took longer than `Timeout(deadline=…)`."""
    limit = spec.options.timeout.deadline
    return from_exception(
        errors.DeadlineExceededError(
            f"{_where(spec)} did not end within its deadline of {limit}. Retries do not extend a "
            "deadline: raise it, or make the task faster."
        )
    )


def runtime_error(spec: AttemptSpec) -> ErrorInfo:
    """One attempt ran longer than `Timeout(max_runtime=…)`."""
    limit = spec.options.timeout.max_runtime
    return from_exception(
        errors.MaxRuntimeExceededError(
            f"{_where(spec)}, attempt {spec.attempt}, ran longer than its max_runtime of {limit}."
        )
    )


def queue_error(spec: AttemptSpec) -> ErrorInfo:
    """One attempt waited longer than `Timeout(max_queued_time=…)` for a worker."""
    limit = spec.options.timeout.max_queued_time
    return from_exception(
        errors.MaxQueuedTimeExceededError(
            f"{_where(spec)}, attempt {spec.attempt}, waited longer than its max_queued_time of "
            f"{limit} for a worker. Ask for fewer resources, or add nodes."
        )
    )


def aborted_error(spec: AttemptSpec, reason: str) -> ErrorInfo:
    """Somebody ended the action from outside."""
    why = f": {reason}" if reason else ""
    return from_exception(errors.ActionAbortedError(f"{_where(spec)} was aborted{why}."))


def infeasible_error(spec: AttemptSpec, reason: str) -> ErrorInfo:
    """No node could ever carry the attempt out."""
    return from_exception(errors.InfeasibleResourcesError(f"{_where(spec)}: {reason}"))


def lost_error(spec: AttemptSpec, reason: str) -> ErrorInfo:
    """The worker went away under the attempt."""
    return from_exception(
        errors.RuntimeSystemError(
            "WorkerLost",
            f"{_where(spec)}, attempt {spec.attempt}: the worker was lost ({reason}). This is not "
            "charged to the task's retries.",
        )
    )


def memory_error(spec: AttemptSpec, reason: str) -> ErrorInfo:
    """The worker was killed for memory."""
    return from_exception(
        errors.OOMError(
            "OOMError",
            f"{_where(spec)}, attempt {spec.attempt}: out of memory ({reason}). Ask for more: "
            "task.override(resources=Resources(memory=…)).",
        )
    )
