"""Ray's exceptions as outcomes. The one table that says what Ray meant.

No author's exception ever reaches Ray (`engine/attempt` sees to that), so whatever Ray raises is
the platform's: a lost worker, replica or node, memory, an environment that cannot be built, or a
cancellation that somebody asked for.
"""

from __future__ import annotations

from ray import exceptions as rx

from flyte_ray import errors
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.engine import output, verdicts


def outcome_of(error: BaseException, spec: AttemptSpec) -> Outcome:
    """What an exception from Ray means for the attempt it stands for."""
    if isinstance(error, rx.OutOfMemoryError):
        return Outcome(
            kind=OutcomeKind.OUT_OF_MEMORY, error=verdicts.memory_error(spec, _first_line(error))
        )
    if isinstance(error, rx.RuntimeEnvSetupError):
        return _unbuildable(error, spec)
    if isinstance(error, rx.TaskUnschedulableError | rx.ActorUnschedulableError):
        return Outcome(
            kind=OutcomeKind.FINAL_ERROR,
            error=verdicts.infeasible_error(spec, _first_line(error)),
        )
    if isinstance(error, rx.TaskCancelledError):
        return Outcome(
            kind=OutcomeKind.CANCELLED, error=verdicts.aborted_error(spec, "cancelled on Ray")
        )
    reason = f"{type(error).__name__}: {_first_line(error)}"
    return Outcome(kind=OutcomeKind.PLATFORM_ERROR, error=verdicts.lost_error(spec, reason))


def _unbuildable(error: rx.RuntimeEnvSetupError, spec: AttemptSpec) -> Outcome:
    """Final: a retry would build the same. What Ray's builder said stands in the attempt's log."""
    environment = spec.task.rpartition(".")[0] or spec.task
    message = (
        f"task {spec.task!r} (action {spec.action_id} of run {spec.run.name}): the worker of its "
        f"environment {environment!r} could not be built ({_last_line(error)}). Correct what the "
        "environment's image, ray.init(runtime_env=…) or the job asks for, then go on: flyte-ray "
        f"rerun {spec.run.name} --recover. All that the builder said: flyte-ray get logs "
        f"{spec.run.name} {spec.action_id}"
    )
    return Outcome(
        kind=OutcomeKind.FINAL_ERROR,
        error=from_exception(errors.ImageBuildError(message)),
        logs=str(error)[-output.INLINE_CHARACTERS :],
    )


def _last_line(error: BaseException) -> str:
    """Where a text ends with a traceback, what was raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
