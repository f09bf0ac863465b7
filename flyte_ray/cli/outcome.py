"""From a started run to an exit code: follow it, print what came of it.

0: it succeeded; 1: it did not; 130: stopped by Ctrl-C, which aborts the run (a second one leaves at
once). Without `--follow` a run that an attached cluster carries is only named: it goes on when
this process has ended. An embedded Ray, and a run in this process, end with it, so they are always
followed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from flyte_ray.cli.backend import Invocation, RunHandle
from flyte_ray.cli.render import error_panel, print_document
from flyte_ray.client.summary import next_steps, outcome_panel
from flyte_ray.core.failure import failure_of
from flyte_ray.core.progress import Progress
from flyte_ray.errors import FlyteRayError

SUCCEEDED = 0
FAILED = 1
INTERRUPTED = 130


def carry_out(
    invocation: Invocation, start: Callable[[], RunHandle], *, follows: bool | None
) -> int:
    """Start or find a run and show it to its end, or say how to follow it; the exit code."""
    backend = invocation.backend()
    with _stdout_kept_clean(invocation):
        run = start()
        lets_go = not follows and backend.outlives_us(run)
        if not lets_go and not _wait(invocation, run):
            return INTERRUPTED
    return _let_go(invocation, run) if lets_go else report(invocation, run, run.progress())


def _wait(invocation: Invocation, run: RunHandle) -> bool:
    """False when Ctrl-C came in between."""
    quiet = not (invocation.options.progress and invocation.backend().settings.progress)
    if quiet:
        invocation.err.print(f"{run.name}  {run.url}", soft_wrap=True)
    try:
        run.wait(quiet=quiet)
    except KeyboardInterrupt:
        # `wait` has aborted the run by now and said so, unless it is somebody else's.
        if not run.phase.is_terminal:
            invocation.err.print(f"See what becomes of it: flyte-ray get run {run.name}")
        return False
    return True


@contextmanager
def _stdout_kept_clean(invocation: Invocation) -> Iterator[None]:
    """What tasks print goes to stderr where stdout is to be one JSON document."""
    if not invocation.writes_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def report(invocation: Invocation, run: RunHandle, progress: Progress) -> int:
    """Print how the run ended; the exit code."""
    problem = _problem_of(run)
    outputs = {} if problem is not None else outputs_by_name(run)
    if invocation.writes_json:
        print_document(
            invocation.out,
            _document(run, progress, outputs, problem.line if problem is not None else None),
            invocation.options.output_format,
        )
        return SUCCEEDED if problem is None else FAILED
    if problem is not None:
        invocation.err.print(error_panel(problem.text, f"{run.name} {progress.phase}"))
    invocation.out.print(outcome_panel(progress, run.url, outputs, next_steps(run.name, progress)))
    return SUCCEEDED if problem is None else FAILED


def outputs_by_name(run: RunHandle) -> Mapping[str, Any]:
    """The outputs of a run that succeeded."""
    outputs = run.outputs()
    named = getattr(outputs, "named_outputs", None)
    if named is None:
        named = {f"o{place}": value for place, value in enumerate(outputs)}
    return dict(named)


def _let_go(invocation: Invocation, run: RunHandle) -> int:
    if invocation.writes_json:
        document = {"name": run.name, "url": run.url, "phase": run.phase}
        print_document(invocation.out, document, invocation.options.output_format)
        return SUCCEEDED
    # On stdout, alone: `name=$(flyte-ray run …)` works.
    invocation.out.print(run.name, soft_wrap=True)
    invocation.err.print(f"{run.url}", soft_wrap=True)
    invocation.err.print(f"The cluster carries it. Watch it: flyte-ray get run {run.name} --follow")
    return SUCCEEDED


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a run did not succeed."""

    line: str
    text: str
    """With the author's traceback, where there is one."""


def _problem_of(run: RunHandle) -> _Problem | None:
    """Why the run did not succeed, or None."""
    try:
        run.raise_for_status()
    except Exception as error:  # noqa: BLE001  what the task raised, of whatever type
        name = error.code if isinstance(error, FlyteRayError) else type(error).__name__
        line = f"{name}: {error}"
        info = failure_of(error)
        is_users = info is not None and info.kind == "user" and bool(info.traceback)
        return _Problem(line, info.traceback.rstrip() if info is not None and is_users else line)
    return None


def _document(
    run: RunHandle, progress: Progress, outputs: Mapping[str, Any], problem: str | None
) -> dict[str, Any]:
    totals = progress.totals
    return {
        "name": run.name,
        "url": run.url,
        "phase": progress.phase,
        "seconds": round(progress.elapsed_s, 3),
        "actions": {
            "total": totals.total,
            "succeeded": totals.succeeded,
            "cached": totals.cached,
            "recovered": totals.recovered,
            "failed": totals.unsuccessful,
        },
        "outputs": outputs,
        "error": problem,
    }
