"""Runs that this process started and must not leave behind.

The end of a script waits for its runs where they would die with it (an embedded Ray), and in a Ray
job, whose status must be theirs. `ray job stop` and Ctrl-C at that point abort them. On an attached
cluster a run goes on without the script.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType
from typing import Protocol

from flyte_ray.core.calls import RunSpec


class Waitable(Protocol):
    """What the end of a script needs of a run."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> RunSpec: ...
    def done(self) -> bool: ...
    def finish(self) -> None:
        """Wait for the end, showing nothing."""
        ...

    def stop(self, reason: str) -> None:
        """Ask for the end."""
        ...


_lock = threading.Lock()
_runs: dict[str, Waitable] = {}
_installed = False


def remember(run: Waitable) -> None:
    """The process answers for this run until it is done."""
    global _installed
    with _lock:
        _runs[run.name] = run
        if _installed:
            return
        _installed = True
    atexit.register(_at_the_end)
    if _is_ray_job() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stopped)


def forget(run: Waitable) -> None:
    """The run has ended."""
    with _lock:
        _runs.pop(run.name, None)


def say(text: str) -> None:
    """Print what the caller asked to see."""
    sys.stdout.write(text + "\n")


def _is_ray_job() -> bool:
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def _left() -> list[Waitable]:
    with _lock:
        return list(_runs.values())


def _must_wait(run: Waitable) -> bool:
    if run.spec.mode == "local" or _is_ray_job():
        return True
    cluster = sys.modules.get("flyte_ray.runtime.cluster")
    return bool(cluster is not None and cluster.is_embedded())


def _at_the_end() -> None:
    for run in _left():
        if not _must_wait(run) or run.done():
            continue
        sys.stderr.write(f"waiting for run {run.name} (Ctrl-C aborts it)\n")
        run.finish()


def _stopped(number: int, frame: FrameType | None) -> None:
    for run in _left():
        run.stop("the Ray job was stopped")
    for run in _left():
        run.finish()
    sys.exit(128 + number)
