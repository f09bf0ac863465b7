"""Runs that this process started and must not leave behind.

The end of a script waits for its runs where they would die with it (an embedded Ray), and in a Ray
job, whose status must be theirs. `ray job stop` and Ctrl-C at that point abort them. On an attached
cluster a run goes on without the script.

It waits before `concurrent.futures` shuts down, whose threads the runs of this process and their
bodies use; Python's `atexit` comes after that.

A run that failed makes the process fail: in a Ray job always, unless a later run of the same
process repeats or recovers it; elsewhere where nobody but the end of the script waited for it.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Protocol

from flyte_ray.client.progress import describe_seconds
from flyte_ray.core.calls import RunSpec

if TYPE_CHECKING:  # pyarrow costs more than the end of a script may take
    from flyte_ray.store.catalog import RunRecord

SILENT_S = 30.0
"""Three heartbeats of a run whose store is remote."""
FAILED = 1
INTERRUPTED = 130


class Waitable(Protocol):
    """What the end of a script needs of a run."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> RunSpec: ...
    def finish(self) -> None:
        """Wait for the end, showing nothing; ends with `forget`."""
        ...

    def stop(self, reason: str) -> None:
        """Ask for the end."""
        ...


_lock = threading.Lock()
_runs: dict[str, Waitable] = {}
_failed: dict[str, str] = {}
_awaited: Counter[str] = Counter()
"""How many of the script's own waits for a run are underway."""
_seen: set[str] = set()
"""Of those that failed: the script itself waited for them, and makes of it what it wants."""
_at_exit = False
_at_sigterm = False


def _forget_after_fork() -> None:
    """A forked child has the handles of its parent's runs, but not what drives them."""
    global _lock
    _lock = threading.Lock()
    _runs.clear()
    _failed.clear()
    _awaited.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def remember(run: Waitable) -> None:
    """The process answers for this run until it is done."""
    global _at_exit, _at_sigterm
    with _lock:
        _runs[run.name] = run
        _failed.pop(run.spec.source_run or "", None)
        if not _at_exit:
            _at_exit = True
            atexit.register(_at_exit_of_python)
            _call_before_pools_end(_at_the_end)
    dies_with_us = run.spec.mode != "local" and _must_wait(run)
    if dies_with_us and not _at_sigterm and threading.current_thread() is threading.main_thread():
        # Otherwise Ray's own handler would end the script, and the script's end wait for the run.
        _at_sigterm = True
        signal.signal(signal.SIGTERM, _stopped)


def forget(run: Waitable, *, failure: str | None = None) -> None:
    """The run has ended, or nobody waits for it any more."""
    with _lock:
        known = _runs.pop(run.name, None)
        if known is not None and failure is not None:
            _failed[run.name] = failure
            if _awaited[run.name]:
                _seen.add(run.name)


@contextmanager
def waiting_for(run: Waitable) -> Iterator[None]:
    """The script waits for the run itself, in whichever thread, maybe beyond its last line."""
    with _lock:
        _awaited[run.name] += 1
    try:
        yield
    finally:
        with _lock:
            _awaited[run.name] -= 1
            if not _awaited[run.name]:
                del _awaited[run.name]


def silence_of(record: RunRecord) -> str:
    """What to tell somebody who waits for a run that no process may be carrying any more.

    Clocks of two machines are compared here, so it is a hint and decides nothing.
    """
    silence_s = silent_s(record)
    if silence_s is None:
        return ""
    return (
        f"no sign of life for {describe_seconds(silence_s)}: whoever carried the run may be gone. "
        f"Go on from its record: flyte-ray rerun {record.spec.name} --recover"
    )


def silent_s(record: RunRecord) -> float | None:
    """For how long a run has given no sign of life, where that is long; None if all seems well."""
    since_start_s = time.time() - record.started_us / 1e6
    age_s = since_start_s if record.heartbeat_age_s is None else record.heartbeat_age_s
    return None if record.ended_us is not None or age_s < SILENT_S else age_s


def say(text: str) -> None:
    """Print what the caller asked to see."""
    sys.stdout.write(text + "\n")


def tell(text: str) -> None:
    """Say something that nobody asked for but everybody wants to know, beside all output."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


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


def _call_before_pools_end(func: Callable[[], None]) -> None:
    """Have `func` called at the end of the script while one can still use pools of threads.

    There is no public way: https://github.com/python/cpython/issues/86128. What was registered last
    is called first, so the pools' own end has to be registered by now.
    """
    try:
        importlib.import_module("concurrent.futures.thread")
        getattr(threading, "_register_atexit", atexit.register)(func)
    except RuntimeError:  # the script has ended, and a thread of it goes on
        atexit.register(func)


def _at_the_end() -> None:
    if not _is_ray_job():
        _failed.clear()  # the script has seen these end, and made of it what it wanted
    _wait_for_runs()


def _at_exit_of_python() -> None:
    _wait_for_runs()  # those that other threads have begun meanwhile
    failed = {k: v for k, v in _failed.items() if _is_ray_job() or k not in _seen}
    for name, failure in failed.items():
        tell(f"run {name} {failure}")
    if failed:
        _leave(FAILED)


def _wait_for_runs() -> None:
    try:
        for run in _left():
            if _must_wait(run):
                tell(f"waiting for run {run.name} (Ctrl-C aborts it)")
                _finished(run)
    except KeyboardInterrupt:
        _leave(INTERRUPTED)
    except SystemExit as told:  # by `_stopped`; so late, nobody else would heed it
        _leave(told.code if isinstance(told.code, int) else FAILED)


def _finished(run: Waitable) -> None:
    """Wait for a run; one that cannot be followed to its end has failed, and no other has."""
    try:
        run.finish()
    except Exception as error:  # noqa: BLE001  told at the end, with the exit code
        _failed[run.name] = f"failed: {type(error).__name__}: {error}"


def _leave(code: int) -> NoReturn:
    """End the process with this code, which nothing else can change so late."""
    cluster = sys.modules.get("flyte_ray.runtime.cluster")
    if cluster is not None:
        cluster.leave()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stopped(number: int, frame: FrameType | None) -> None:
    reason = "the Ray job was stopped" if _is_ray_job() else "its process was told to end"
    for run in _left():
        try:
            run.stop(reason)
        except Exception as error:  # noqa: BLE001  the others are to be stopped, too
            tell(f"run {run.name} could not be aborted: {error}")
    for run in _left():
        _finished(run)
    sys.exit(128 + number)
