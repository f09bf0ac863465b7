"""The worker's door: attempts, in a Ray task. No exception passes it outwards.

The main thread waits (see `waiting`), the author's body runs beside it: async bodies on the
process's author loop, sync bodies on a thread. The process keeps what it has loaded: code, store
connection, channels to hosts. Ray runs one attempt at a time in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import ray

from flyte_ray import errors
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, RunSpec
from flyte_ray.core.failure import from_exception
from flyte_ray.core.model import Outcome, OutcomeKind, utc_now_us
from flyte_ray.engine import output, rows, verdicts
from flyte_ray.engine.announcing import AFTER_S
from flyte_ray.engine.attempt import BodyCancelled, run_async
from flyte_ray.engine.bodies import BodyThread
from flyte_ray.engine.controller import ActionController
from flyte_ray.runtime import addresses
from flyte_ray.runtime.dispatch import UNREACHABLE
from flyte_ray.runtime.doors import CANNOT_REACH
from flyte_ray.runtime.home import (
    ASYNC_LEEWAY_S,
    STOP_GRACE_S,
    Home,
    furnish,
    take_interrupts,
)
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.reception import visit
from flyte_ray.runtime.replica import RemoteReplica
from flyte_ray.runtime.shift import Shift
from flyte_ray.runtime.store_order import StoreOrder, store_of
from flyte_ray.runtime.waiting import SLICE_S, ChildWait, set_current_wait
from flyte_ray.runtime.wire import AttemptBytes, AttemptUnpacker, Order, pack_outcome

logger = logging.getLogger(__name__)

LAST_WORDS_S = 0.2
"""For the outcome of an attempt after which the process must go, where it cannot be left behind."""

_homes: dict[tuple[StoreOrder, str], Home] = {}
_unpacker = AttemptUnpacker()


def _home(run: RunSpec) -> Home:
    key = (store_of(run), run.options["host"])
    home = _homes.get(key)
    if home is None:
        take_interrupts()
        furnish()
        home = _homes[key] = Home(*key, MEANS)
    return home


def execute(order: Order) -> Any:
    """The body of our only remote function: one attempt, or a shift of them (see `dispatch`).

    Returns (number, outcome's bytes) pairs of what was not told in another way, or `UNREACHABLE`.
    """
    if order.attempt is not None:
        return [(0, pack_outcome(_outcome(order.attempt, None)))]
    assert order.visit is not None, "an order holds an attempt or an address"
    try:
        line = visit(*order.visit)
    except CANNOT_REACH as error:
        logger.warning("the caller cannot be reached directly: %r", error)
        return UNREACHABLE
    return Shift(line).work(_carried_out)


def _carried_out(data: AttemptBytes, shift: Shift) -> bytes:
    outcome = pack_outcome(_outcome(data, shift))
    if any(home.is_poisoned for home in _homes.values()):
        shift.end()
    return outcome


def _outcome(data: AttemptBytes, shift: Shift | None) -> Outcome:
    try:
        run = _unpacker.run(data)
        home = _home(run)
        if home.is_poisoned:
            os._exit(1)  # a body that could not be stopped still runs here: Ray gives us another
        home.lodging(run)  # options may be of the author's own classes
        attempt = _unpacker.unpack(data)
        return _told(attempt, home, _Attempt(attempt, home, shift).run())
    except KeyboardInterrupt:
        error = errors.ActionAbortedError("interrupted before it began")
        return Outcome(kind=OutcomeKind.CANCELLED, error=from_exception(error))
    except errors.StoreError as error:
        return Outcome(kind=OutcomeKind.PLATFORM_ERROR, error=from_exception(error))
    except BaseException as error:  # noqa: BLE001  the worker's door
        return Outcome(kind=OutcomeKind.FINAL_ERROR, error=from_exception(error))


def _told(attempt: AttemptSpec, home: Home, outcome: Outcome) -> Outcome:
    """The outcome, for its way home; where the process must go, it is left in the cluster instead.

    A process that answers first and goes then is given the next attempt by Ray in between, and
    takes it along. And how long an answer is on its way, nobody knows.
    """
    if home.is_poisoned:
        with contextlib.suppress(Exception):  # the cluster does not answer
            addresses.leave_words(attempt, pack_outcome(outcome))
            os._exit(1)
        threading.Timer(LAST_WORDS_S, os._exit, args=(1,)).start()
    return outcome


MEANS = Means(
    execute=ray.remote(max_retries=0)(execute),
    execute_once=ray.remote(max_retries=0, max_calls=1)(execute),
    replica=RemoteReplica,
)
"""For whoever asks for processes."""


class _Attempt:
    """One attempt in this process, seen from the main thread."""

    def __init__(self, spec: AttemptSpec, home: Home, shift: Shift | None) -> None:
        self._spec = spec
        self._home = home
        self._lodging = home.lodging(spec.run)
        self._shift = shift
        self._wait = ChildWait()
        self._began, self._began_us = time.monotonic(), utc_now_us()
        self._told = spec.parent_id is None
        if self._told:  # the run's root: people wait to see it begin
            home.channel.note(spec.run.name, [rows.started(spec, home.place)])
        self._was_stopped = False
        self._is_async = False
        self._leeway_s = 0.0
        self._stop: Any = None
        self._outcome: Future[Outcome] = Future()

    def run(self) -> Outcome:
        spec, home = self._spec, self._home
        self._tell_if_queued_time_counts()
        _set_scene(spec)
        task = home.loader.task(spec)
        controller = ActionController(spec, self._lodging.surroundings)
        set_current_wait(self._wait)
        try:
            self._start(task, controller)
            self._outcome.add_done_callback(lambda _: self._body_ended())
            return self._waited()
        finally:
            set_current_wait(None)
            self._leave(controller)

    def _body_ended(self) -> None:
        self._wait.finish()
        # The main thread waits for runners that may linger: their end wakes it.
        self._lodging.bodies.retire()

    def _start(self, task: Callee, controller: ActionController) -> None:
        # Anew: what it took to load the code is not the body's.
        self._began, self._began_us = time.monotonic(), utc_now_us()
        self._is_async = task.is_async
        if task.is_async:
            self._leeway_s = ASYNC_LEEWAY_S
            self._stop = self._home.loop.submit(self._body(task, controller)).cancel
            return
        thread = BodyThread(self._spec, task, self._lodging.tools, controller)
        self._outcome, self._stop = thread.outcome, thread.stop
        thread.start()

    async def _body(self, task: Callee, controller: ActionController) -> None:
        # A future of our own: the loop's is "done" as soon as it is cancelled, while the body may
        # still be in its `finally` blocks.
        try:
            outcome = await run_async(self._spec, task, self._lodging.tools, controller)
        except BodyCancelled as cancelled:
            outcome = cancelled.as_failure()
        except BaseException as error:
            self._outcome.set_exception(error)
            raise
        self._outcome.set_result(outcome)

    def _waited(self) -> Outcome:
        try:
            first_look_s = self._shift.first_look_s if self._shift is not None else None
            self._wait.block(self._every_slice, first_look_s or SLICE_S)
            return self._outcome.result()
        except _StopAsked:
            return self._stopped(OutcomeKind.CANCELLED)
        except _Overrun:
            return self._stopped(OutcomeKind.TIMED_OUT)
        except KeyboardInterrupt:
            return self._stopped(OutcomeKind.CANCELLED)
        except BaseException as error:  # noqa: BLE001  our own bug
            return Outcome(kind=OutcomeKind.USER_ERROR, error=from_exception(error))

    def _every_slice(self) -> None:
        shift = self._shift
        if shift is not None and shift.look(waits_for_children=self._wait.has_children):
            raise _StopAsked
        elapsed_s = time.monotonic() - self._began
        if not self._told and elapsed_s > AFTER_S:
            self._told = True
            self._home.channel.note(
                self._spec.run.name, [rows.started(self._spec, self._home.place)]
            )
        limit = self._spec.options.timeout.max_runtime
        if limit and elapsed_s > limit.total_seconds() + self._leeway_s:
            raise _Overrun

    def _stopped(self, kind: OutcomeKind) -> Outcome:
        """Stop the body; one that does not react takes this process with it, shortly."""
        self._stop()
        deadline = time.monotonic() + STOP_GRACE_S
        while not self._outcome.done() and time.monotonic() < deadline:
            with contextlib.suppress(KeyboardInterrupt):
                self._wait.block_briefly()
        known = self._unfinished()
        if not self._outcome.done():
            self._home.is_poisoned = True  # `_told` ends the process
        elif self._outcome.exception() is None:
            known = self._outcome.result()
        if kind is OutcomeKind.TIMED_OUT:
            error = verdicts.runtime_error(self._spec)
        else:
            error = verdicts.aborted_error(self._spec, "stopped")
        self._was_stopped = True
        return replace(known, kind=kind, outputs=None, error=error)

    def _unfinished(self) -> Outcome:
        """What is known of a body that does not end."""
        return Outcome(
            kind=OutcomeKind.CANCELLED,
            started_us=self._began_us,
            ended_us=utc_now_us(),
            place=self._home.place,
            logs=output.said_so_far(),
        )

    def _leave(self, controller: ActionController) -> None:
        # An async body that did not end holds the loop on which the controller would close.
        is_held = self._home.is_poisoned and self._is_async
        if controller.has_calls_underway and not is_held:
            with contextlib.suppress(Exception):
                self._home.loop.submit(controller.close()).result(STOP_GRACE_S)
        if self._was_stopped:
            # The rows of stopped children must be with the host before the root's end closes the
            # book: an empty hand-in is acknowledged after all that went before it.
            with contextlib.suppress(TimeoutError, errors.FlyteRayError):
                self._home.channel.record(self._spec.run.name, []).result(STOP_GRACE_S)

    def _tell_if_queued_time_counts(self) -> None:
        if self._spec.options.timeout.max_queued_time:
            addresses.say_started(self._spec)


class _StopAsked(BaseException):
    """The parent does not want the attempt any more."""


class _Overrun(BaseException):
    """The attempt has passed its max_runtime."""


def _set_scene(spec: AttemptSpec) -> None:
    """Environment variables as Flyte's containers have them."""
    os.environ["FLYTE_ATTEMPT_NUMBER"] = str(spec.attempt - 1)
    os.environ["RUN_NAME"] = spec.run.name
    os.environ["ACTION_NAME"] = spec.action_id
