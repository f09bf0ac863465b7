"""One attempt, from encoded inputs to encoded outputs, in the process that runs the body.

Used alike by the in-process engine and by Ray workers. Whatever happens in here becomes an
`Outcome`: no exception, exit or unpicklable result of an author leaves this room, so that neither
Ray nor the engine ever sees one.

Async bodies run on the caller's loop (`run_async`), sync bodies on the caller's thread
(`run_blocking`); who picks loop and thread is the executor.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import cloudpickle

from flyte_ray import errors
from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.context import ActionContext, Workbench, current, entered
from flyte_ray.core.failure import ErrorInfo, from_exception
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import Outcome, OutcomeKind, Place, utc_now_us
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs, Codecs, Controller
from flyte_ray.engine import output, verdicts
from flyte_ray.engine.landing import landed
from flyte_ray.engine.limits import StopBody
from flyte_ray.engine.secret_values import SecretValues
from flyte_ray.report import store_report
from flyte_ray.store import layout
from flyte_ray.store.values import RunValues

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What an attempt is handed to do its work with."""

    codecs: Codecs
    values: RunValues
    blobs: Blobs
    place: Place = field(default_factory=Place)


async def run_async(
    spec: AttemptSpec, task: Callee, tools: Tools, controller: Controller
) -> Outcome:
    """Run an `async def` body here. Raises only `BodyCancelled`, once the body has ended."""
    with _Sheet(spec, task, tools, controller) as sheet:
        try:
            arguments = sheet.arguments()
            limit = spec.options.timeout.max_runtime
            body = task.interface.call(task.func, arguments)
            if not limit:
                result = await body
            else:
                result = await _limited(body, limit.total_seconds())
            try:
                return sheet.success(result, waits=False)
            except errors.StoreUnwritableError:
                raise
            except errors.StoreError:
                return await _aside(partial(sheet.success, result))  # others run on this loop
        except _RanTooLong:
            return sheet.ran_too_long()
        except asyncio.CancelledError:
            raise BodyCancelled(sheet.stopped()) from None
        except BaseException as error:  # noqa: BLE001  the worker's border: see the room sign
            return sheet.failure(error)


def run_blocking(spec: AttemptSpec, task: Callee, tools: Tools, controller: Controller) -> Outcome:
    """Run a plain `def` body in this thread; `limits.interrupt` stops it."""
    with _Sheet(spec, task, tools, controller) as sheet:
        try:
            return sheet.success(task.interface.call(task.func, sheet.arguments()))
        except StopBody:
            return sheet.stopped()
        except BaseException as error:  # noqa: BLE001  the worker's border: see the room sign
            return sheet.failure(error)


async def _aside(work: Callable[[], Outcome]) -> Outcome:
    """Work that may wait long, on a thread of its own: those that asyncio has are the author's."""
    done: Future[Outcome] = Future()
    context = copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="flyte-ray-outputs", daemon=True).start()
    return await landed(done)


class BodyCancelled(asyncio.CancelledError):
    """An async body was cancelled, by itself or from outside, and has ended.

    Not to be let through as it is: `asyncio.timeout` knows only `CancelledError` itself.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("the body was cancelled")
        self.outcome = outcome
        """When and where it ran, and what it printed."""

    def as_failure(self) -> Outcome:
        """The outcome where nobody else cancelled the body: a failure like others."""
        error = from_exception(asyncio.CancelledError("the body was cancelled from within"))
        return replace(self.outcome, kind=OutcomeKind.USER_ERROR, error=error)


class _RanTooLong(BaseException):
    """Our own limit passed; an author's TimeoutError must not be taken for it."""


async def _limited(body: Any, seconds: float) -> Any:
    """What the body returns within its time; afterwards nothing counts that it still comes up with.

    A body may take its limit for something of its own, and return or fail as it likes. The attempt
    has timed out all the same: its caller must not wait longer for some bodies than for others.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            result = await body
    except asyncio.CancelledError:
        raise  # from outside
    except BaseException:
        if limit.expired():
            raise _RanTooLong from None
        raise
    if limit.expired():
        raise _RanTooLong
    return result


def named_outputs(result: Any, interface: Interface) -> dict[str, Any]:
    """What a body returned, by output name.

    Raises:
        TypeError: the result does not fit the declared outputs.
    """
    names = list(interface.outputs)
    if not names:
        if result is not None:
            raise TypeError(
                f"returned a {type(result).__name__}, but declares no return type. Annotate the "
                "function with what it returns."
            )
        return {}
    if len(names) == 1 and not interface.is_named_tuple:
        return {names[0]: result}
    if not isinstance(result, tuple) or len(result) != len(names):
        got = f"{len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
        raise TypeError(f"declares {len(names)} outputs ({', '.join(names)}), but returned {got}.")
    return dict(zip(names, result, strict=True))


def returned(values: Mapping[str, Any], interface: Interface) -> Any:
    """What the caller of a task receives: one value, a tuple of them, or None."""
    if not interface.outputs:
        return None
    if interface.is_named_tuple:
        return interface.returns(**values)
    if len(interface.outputs) == 1:
        return next(iter(values.values()))
    return tuple(values[name] for name in interface.outputs)


class _Sheet:
    """The work sheet of one attempt: its clock, its capture, and how its end is written down."""

    def __init__(
        self, spec: AttemptSpec, task: Callee, tools: Tools, controller: Controller
    ) -> None:
        self._spec = spec
        self._task = task
        self._tools = tools
        self._controller = controller
        self._started_us = utc_now_us()
        self._captured = output.captured()
        self._secrets = SecretValues(spec.options.secrets)
        self._here = self._context()
        self._entered = entered(self._here)

    def __enter__(self) -> _Sheet:
        self._entered.__enter__()
        self._capture = self._captured.__enter__()
        self._secrets.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._secrets.__exit__(*raised)
        self._captured.__exit__(*raised)
        self._entered.__exit__(*raised)

    def _context(self) -> ActionContext:
        spec = self._spec
        return ActionContext(
            controller=self._controller,
            run=spec.run,
            action_id=spec.action_id,
            parent_id=spec.parent_id,
            scope=spec.scope,
            scope_id=spec.action_id,
            task=spec.task,
            attempt=spec.attempt,
            mode=spec.run.mode,
            custom_context=spec.custom_context,
            bench=Workbench(),
            store=self._tools.blobs,
        )

    def arguments(self) -> dict[str, Any]:
        if self._spec.options.secrets:
            self._secrets.provide(self._spec.task)
            self._capture.mask = self._secrets.masked
            self._here.bench.veil = self._secrets
        types = types_of(self._task.interface)
        return self._tools.codecs.decode(self._spec.inputs, types, self._tools.values)

    def success(self, result: Any, *, waits: bool = True) -> Outcome:
        """The outcome of a body that returned.

        Raises:
            StoreError: the store is away, and it waits no longer or (not `waits`) not at all.
        """
        try:
            outputs = self._encoded(result, waits)
            if self._spec.options.report:
                self._store_report()
        except errors.UnserializableInputError as error:
            return self._end(OutcomeKind.FINAL_ERROR, error=from_exception(error))
        except TypeError as error:  # our own WrongCallError among them: here the result is wrong
            wrong = errors.RuntimeDataValidationError("output", error, self._spec.task)
            return self._end(OutcomeKind.FINAL_ERROR, error=from_exception(wrong))
        return self._end(OutcomeKind.SUCCEEDED, outputs=outputs)

    def _store_report(self) -> None:
        here = current()
        if here is None:
            return
        try:
            store_report(here)
        except errors.StoreError as error:  # no reason to run a body again
            logger.warning("the report of %s is not stored: %s", self._spec.action_id, error)

    def _encoded(self, result: Any, waits: bool) -> Payload:
        interface = self._task.interface
        values = named_outputs(result, interface)
        owner = f"task {self._spec.task!r}, output"
        self._secrets.check(values, owner)
        tools = self._tools
        store = tools.values.patient() if waits else tools.values  # hours may have gone into it
        # All of it again, not only a write: files find their own way into the store.
        return store.ask(
            lambda: tools.codecs.encode(values, interface.outputs, store, owner, are_inputs=False)
        )

    def failure(self, error: BaseException) -> Outcome:
        # By value, where a class cannot be imported by the parent (defined in a notebook or body).
        info = from_exception(error, dumps=cloudpickle.dumps)
        if isinstance(error, errors.FencedError | errors.UsageError) or not info.recoverable:
            return self._end(OutcomeKind.FINAL_ERROR, error=info)
        if isinstance(error, errors.StoreError):
            return self._end(OutcomeKind.PLATFORM_ERROR, error=info)
        return self._end(OutcomeKind.USER_ERROR, error=info)

    def ran_too_long(self) -> Outcome:
        return self._end(OutcomeKind.TIMED_OUT, error=verdicts.runtime_error(self._spec))

    def stopped(self) -> Outcome:
        error = verdicts.aborted_error(self._spec, "stopped")
        return self._end(OutcomeKind.CANCELLED, error=error)

    def _end(
        self,
        kind: OutcomeKind,
        *,
        outputs: Payload | None = None,
        error: ErrorInfo | None = None,
    ) -> Outcome:
        text, key = self._stored_log(self._capture.text())
        return Outcome(
            kind=kind,
            outputs=outputs,
            error=self._secrets.masked_error(error),
            started_us=self._started_us,
            ended_us=utc_now_us(),
            place=self._tools.place,
            logs=text,
            logs_key=key,
        )

    def _stored_log(self, text: str) -> tuple[str, str | None]:
        """The log for the record: itself or, where it is long, the key of its object."""
        if len(text) <= output.INLINE_CHARACTERS:
            return text, None
        key = layout.attempt_log(self._spec.run.name, self._spec.action_id, self._spec.attempt)
        try:
            self._tools.blobs.put(key, text.encode("utf-8", "replace"))
        except errors.StoreError as error:  # no reason to run a body again
            logger.warning("the log of %s is not stored: %s", self._spec.action_id, error)
            return text[-output.INLINE_CHARACTERS :], None
        return "", key


def types_of(interface: Interface) -> Mapping[str, Any]:
    """The declared type of every input."""
    return {name: kind for name, (kind, _) in interface.inputs.items()}
