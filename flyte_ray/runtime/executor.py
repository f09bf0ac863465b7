"""Carries attempts out as Ray tasks: options, submission, waiting, cancellation.

Runs in the host (for roots) and in every worker (for children). One generic remote function serves
all tasks, defined once; its options are made once per task and reused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

from ray import exceptions as rx

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.core.options import TaskOptions
from flyte_ray.core.ports import Blobs
from flyte_ray.engine import verdicts
from flyte_ray.engine.by_value import ByValue
from flyte_ray.engine.cancellation import carrying, outlast
from flyte_ray.engine.loading import portable
from flyte_ray.runtime import addresses
from flyte_ray.runtime.cluster import held_gpus
from flyte_ray.runtime.dispatch import Dispatch
from flyte_ray.runtime.failures import outcome_of
from flyte_ray.runtime.hiring import RayHirer
from flyte_ray.runtime.jobs import merged
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.options import (
    NODES_SEEN_FOR_S,
    Nodes,
    Request,
    is_clamping,
    ray_options,
    request_of,
)
from flyte_ray.runtime.pools import pool_dispatch, pool_order
from flyte_ray.runtime.runner_link import WorkItem
from flyte_ray.runtime.waiting import current_wait
from flyte_ray.runtime.wire import AttemptPacker, by_value, unpack_outcome

SOFT_STOP_S = 6.0
"""A stopped attempt's time for its `finally` blocks, before its worker is killed."""
HARD_STOP_S = 10.0


class RayExecutor:
    """The `Executor` port on Ray."""

    def __init__(
        self,
        means: Means,
        blobs: Blobs,
        code_root: str,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self._means = means
        self._environment = environment or {}
        self.by_value = ByValue(blobs)
        """Sends tasks that workers cannot import."""
        self._code_root = code_root
        self._nodes = Nodes()
        self._handles: dict[tuple[str, int], tuple[TaskOptions, Any]] = {}
        self._dispatches: dict[tuple[str, int], Dispatch] = {}
        self._pools: dict[tuple[str, int], tuple[TaskOptions, Dispatch]] = {}
        self._packer = AttemptPacker(by_value)
        self._could_be_at: dict[int, float] = {}
        """By options that this process has sent out, which `_handles` and `_pools` keep."""

    def check(self, options: TaskOptions) -> str | None:
        """Why no node of the cluster could ever carry out such an attempt, or None."""
        return self._nodes.why_never(request_of(options.resources))

    async def execute(self, spec: AttemptSpec, task: Callee | None) -> Outcome:
        """Run one attempt to its end; see `core.ports.Executor.execute`."""
        reason = self._why_never(spec)
        if reason is not None:
            error = verdicts.infeasible_error(spec, reason)
            return Outcome(kind=OutcomeKind.FINAL_ERROR, error=error)
        run, options, own = self._packer.pack(self._sendable(spec, task))
        dispatch = self._dispatch(spec)
        item = dispatch.submit(spec, (run, options), own)
        wait = current_wait()
        try:
            with wait if wait is not None else nullcontext():
                return await _outcome(item, dispatch)
        except asyncio.CancelledError:
            raise carrying(await _stop(item, dispatch)) from None
        except Exception as error:  # noqa: BLE001  whatever Ray raises is classified in one place
            return _last_words(error, spec) or outcome_of(error, spec)
        finally:
            if spec.options.timeout.max_queued_time:
                addresses.forget_started(spec)

    def _why_never(self, spec: AttemptSpec) -> str | None:
        # What could be carried out a moment ago need not be asked again for the next call.
        key, now = id(spec.options), time.monotonic()
        if now - self._could_be_at.get(key, -NODES_SEEN_FOR_S) < NODES_SEEN_FOR_S:
            return None
        reason = None if is_clamping(spec.run) else self.check(spec.options)
        # A replica's own pool may be the one that is asked: what it holds serves both.
        if reason is None and (spec.options.reusable is None or current_wait() is not None):
            reason = self._nodes.why_starved(self._request(spec), *held_gpus())
        if reason is None:
            self._could_be_at[key] = now
        return reason

    def retire(self) -> None:
        """The attempt that called has ended: what it kept ready for further calls may go."""
        for dispatch in self._dispatches.values():
            dispatch.retire()
        self._dispatches = {}

    def _dispatch(self, spec: AttemptSpec) -> Dispatch:
        key = (spec.task, id(spec.options))
        known = self._dispatches.get(key)
        if known is None:
            request = self._request(spec)
            if spec.options.reusable is not None:
                return self._pool(spec, request)
            hirer = RayHirer(self._handle(spec), request, self._nodes)
            # A process that has held a GPU gives its memory back only by ending. And a process
            # without a main thread that waits, such as a host, has but one attempt at a time.
            carries = bool(request.gpu) or current_wait() is None
            known = self._dispatches[key] = Dispatch(hirer, carries=carries)
        return known

    def _pool(self, spec: AttemptSpec, request: Request) -> Dispatch:
        key = (spec.task, id(spec.options))
        known = self._pools.get(key)
        if known is None:
            order = pool_order(spec, self._means, self._ray_options(spec, request))
            # The options object is kept, so that its id stays its own.
            known = (spec.options, pool_dispatch(order, self._nodes))
            self._pools[key] = known
        return known[1]

    def _request(self, spec: AttemptSpec) -> Request:
        request = request_of(spec.options.resources)
        return self._nodes.clamped(request) if is_clamping(spec.run) else request

    def _ray_options(self, spec: AttemptSpec, request: Request) -> dict[str, Any]:
        wanted = ray_options(spec.options, spec.run, request, spec.task)
        wanted["runtime_env"] = merged(self._environment, wanted["runtime_env"])
        return wanted

    def _handle(self, spec: AttemptSpec) -> Any:
        key = (spec.task, id(spec.options))
        known = self._handles.get(key)
        if known is None:
            request = self._request(spec)
            execute = self._means.execute_once if request.gpu else self._means.execute
            made = execute.options(**self._ray_options(spec, request))
            # The options object is kept, so that its id stays its own.
            known = self._handles[key] = (spec.options, made)
        return known[1]

    def _sendable(self, spec: AttemptSpec, task: Callee | None) -> AttemptSpec:
        address = spec.address
        if address.blob_key is None and address.module is None and task is not None:
            return replace(spec, address=replace(address, blob_key=self.by_value.key_of(task)))
        sent = portable(address, self._code_root)
        return spec if sent == address else replace(spec, address=sent)


async def _outcome(item: WorkItem, dispatch: Dispatch) -> Outcome:
    spec = item.spec
    limit = spec.options.timeout.max_queued_time
    if limit:
        done, _ = await asyncio.wait({item.ended}, timeout=limit.total_seconds())
        if not done and not addresses.has_started(spec):
            await _stop(item, dispatch)
            return Outcome(kind=OutcomeKind.TIMED_OUT, error=verdicts.queue_error(spec))
    try:
        return unpack_outcome(await item.ended)
    except asyncio.CancelledError:
        if item.ended.cancelled():
            # Who is cancelled here must still be told what the attempt came to: see `_stop`.
            # (`asyncio.shield` does this before it is needed, for a tenth of a call's time.)
            item.ended = item.loop.create_future()
        raise


async def _stop(item: WorkItem, dispatch: Dispatch) -> Outcome | None:
    """End an attempt: softly first, so that the body can clean up, then by force.

    Returns what the worker still said of it.
    """
    dispatch.withdraw(item)
    if await outlast(item.ended, SOFT_STOP_S):
        return _said(item)
    dispatch.kill(item)
    return _said(item) if await outlast(item.ended, HARD_STOP_S) else None


def _said(item: WorkItem) -> Outcome | None:
    error = item.ended.exception()
    return unpack_outcome(item.ended.result()) if error is None else _last_words(error, item.spec)


def _last_words(error: BaseException, spec: AttemptSpec) -> Outcome | None:
    """What a process has left of its attempt that had to end; see `worker`."""
    words = None
    if isinstance(error, rx.WorkerCrashedError):
        with suppress(Exception):  # the cluster does not answer: it counts as lost
            words = addresses.last_words(spec)
    return None if words is None else unpack_outcome(words)
