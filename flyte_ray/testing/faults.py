"""Failures on demand: wrappers around an executor and a store that fail when they are told to.

They change nothing else, so a test says in one line what goes wrong and then asserts the record.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.model import Outcome, OutcomeKind, utc_now_us
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import Blobs, Executor
from flyte_ray.errors import OOMError, RuntimeSystemError, StoreError

# ------------------------------------------------------------------------------------ executors


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One attempt that goes wrong."""

    nth: int
    """1 for the first attempt that it is about, and so on."""
    task: str | None = None
    """About attempts of this task only, by full or short name; None: of all."""
    kind: OutcomeKind = OutcomeKind.PLATFORM_ERROR
    runs_first: bool = False
    """The body runs, and only its outcome is lost."""

    def is_about(self, spec: AttemptSpec) -> bool:
        """True for the attempts that it counts."""
        return self.task in (None, spec.task, spec.task.rpartition(".")[2])


def fail_nth(
    nth: int, *, task: str | None = None, kind: OutcomeKind = OutcomeKind.PLATFORM_ERROR
) -> Fault:
    """The nth attempt (of a task) fails without its body being run.

    Example:
        >>> fail_nth(2, task="step").runs_first
        False
    """
    return Fault(nth=nth, task=task, kind=kind)


def kill_at(nth: int, *, task: str | None = None) -> Fault:
    """The worker of the nth attempt (of a task) is lost after the body has run.

    Example:
        >>> kill_at(1).runs_first
        True
    """
    return Fault(nth=nth, task=task, runs_first=True)


class FaultyExecutor:
    """The `Executor` port: hands attempts on, and lets some of them go wrong.

    Example:
        >>> executor = FaultyExecutor(inner, kill_at(1, task="step"))  # doctest: +SKIP
    """

    def __init__(self, executor: Executor, *faults: Fault) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._seen = dict.fromkeys(range(len(faults)), 0)
        self.faults = faults
        self.attempts: list[AttemptSpec] = []
        """Every attempt that was asked for, in order."""

    def check(self, options: TaskOptions) -> str | None:
        """What the wrapped executor says."""
        return self._executor.check(options)

    async def execute(self, spec: AttemptSpec, task: Callee | None) -> Outcome:
        """Run an attempt, or let it go wrong."""
        fault = self._due(spec)
        if fault is None:
            return await self._executor.execute(spec, task)
        if fault.runs_first:
            await self._executor.execute(spec, task)
        await asyncio.sleep(0)
        now = utc_now_us()
        return Outcome(
            kind=fault.kind, error=from_exception(_error(fault)), started_us=now, ended_us=now
        )

    def _due(self, spec: AttemptSpec) -> Fault | None:
        with self._lock:
            self.attempts.append(spec)
            due = None
            for number, fault in enumerate(self.faults):
                if fault.is_about(spec):
                    self._seen[number] += 1
                    if self._seen[number] == fault.nth:
                        due = fault
            return due


def _error(fault: Fault) -> Exception:
    if fault.kind is OutcomeKind.PLATFORM_ERROR:
        return RuntimeSystemError("WorkerLost", "the worker was lost, as the test asked")
    if fault.kind is OutcomeKind.OUT_OF_MEMORY:
        return OOMError("OOMError", "out of memory, as the test asked")
    return RuntimeError("it failed, as the test asked")


# --------------------------------------------------------------------------------------- stores


@dataclass(slots=True, kw_only=True)
class _Wish:
    """Operations of a store that go wrong, and how many of them are left."""

    operation: str
    part: str
    left: int
    error: Exception
    after: bool
    skip: int = 0


class FaultyBlobs:
    """The `Blobs` port: hands operations on, and lets some of them fail, or be slow.

    Example:
        >>> store = FaultyBlobs(inner)  # doctest: +SKIP
        >>> store.fail("put_new", part="/log/")  # doctest: +SKIP
    """

    def __init__(self, blobs: Blobs, *, latency_s: float = 0.0) -> None:
        """Wrap a store; every operation takes `latency_s` longer."""
        self.blobs = blobs
        self.latency_s = latency_s
        self.calls: list[tuple[str, str]] = []
        """(operation, key) of all that was asked, in order."""
        self._wishes: list[_Wish] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The wrapped store's."""
        return self.blobs.url

    def fail(
        self,
        operation: str,
        *,
        part: str = "",
        times: int = 1,
        skip: int = 0,
        error: Exception | None = None,
    ) -> None:
        """Let operations fail without effect.

        Args:
            operation: "put", "put_new", "get", "exists", "list" or "delete".
            part: only for keys that contain it.
            times: so many.
            skip: after so many that go well.
            error: what is raised; a `StoreError` by default.
        """
        self._wish(operation, part, times, skip, error, after=False)

    def lose_reply(
        self, operation: str, *, part: str = "", times: int = 1, error: Exception | None = None
    ) -> None:
        """Let operations take effect, and then fail all the same."""
        self._wish(operation, part, times, 0, error, after=True)

    def _wish(
        self,
        operation: str,
        part: str,
        times: int,
        skip: int,
        error: Exception | None,
        *,
        after: bool,
    ) -> None:
        error = error or StoreError(f"{operation} failed, as the test asked")
        with self._lock:
            self._wishes.append(
                _Wish(
                    operation=operation,
                    part=part,
                    left=times,
                    error=error,
                    after=after,
                    skip=skip,
                )
            )

    def put(self, key: str, *parts: bytes | bytearray | memoryview) -> None:
        lost = self._begin("put", key)
        self.blobs.put(key, *parts)
        _raise(lost)

    def put_new(self, key: str, data: bytes) -> bool:
        lost = self._begin("put_new", key)
        done = self.blobs.put_new(key, data)
        _raise(lost)
        return done

    def get(self, key: str) -> bytes:
        lost = self._begin("get", key)
        data = self.blobs.get(key)
        _raise(lost)
        return data

    def exists(self, key: str) -> bool:
        _raise(self._begin("exists", key))
        return self.blobs.exists(key)

    def list(self, prefix: str) -> Sequence[str]:
        _raise(self._begin("list", prefix))
        return self.blobs.list(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        wanted = tuple(keys)
        lost = [self._begin("delete", key) for key in wanted]
        self.blobs.delete(wanted)
        _raise(next((error for error in lost if error is not None), None))

    def _begin(self, operation: str, key: str) -> Exception | None:
        """Raise what is to fail before; hand back what is to fail after."""
        if self.latency_s:
            time.sleep(self.latency_s)
        with self._lock:
            self.calls.append((operation, key))
            wish = self._due(operation, key)
        if wish is None:
            return None
        if not wish.after:
            raise wish.error
        return wish.error

    def _due(self, operation: str, key: str) -> _Wish | None:
        for wish in self._wishes:
            if wish.operation != operation or wish.part not in key or not wish.left:
                continue
            if wish.skip:
                wish.skip -= 1
                continue
            wish.left -= 1
            return wish
        return None


class SlowBlobs(FaultyBlobs):
    """A store as far away as a bucket: each operation takes 30 ms longer, and counts as remote.

    Example:
        >>> SlowBlobs(inner, latency_s=0.1).url == inner.url  # doctest: +SKIP
        True
    """

    def __init__(self, blobs: Blobs, *, latency_s: float = 0.03) -> None:
        """Wrap a store; every operation takes `latency_s` longer."""
        super().__init__(blobs, latency_s=latency_s)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
