"""All that the record says of one action, at one moment. Read-only; `client/action` follows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flyte_ray.client.dual import classwide, on_a_thread
from flyte_ray.client.outputs import ActionInputs, ActionOutputs, named_values
from flyte_ray.client.session import Session, current_session
from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord, AttemptRecord


def names_of(uri: str | None, run_name: str, name: str) -> tuple[str, str]:
    """Run and action that are meant, by names or by "run/action"."""
    if uri is None:
        return run_name, name
    run, _, action = uri.partition("/")
    return run, action or ROOT_ACTION


@dataclass(frozen=True, slots=True)
class PhaseTransitionInfo:
    """One stretch of an action's life."""

    phase: ActionPhase
    start_time: datetime
    end_time: datetime | None
    """None while it lasts."""

    @property
    def duration(self) -> timedelta | None:
        """How long it lasted; None while it lasts."""
        return None if self.end_time is None else self.end_time - self.start_time


class ActionDetails:
    """All that the record says of an action, at one moment."""

    def __init__(self, session: Session, run_name: str, record: ActionRecord) -> None:
        self._session = session
        self.record = record
        self.run_name = run_name
        self.name: str = record.action_id
        self.task_name = record.task
        self.parent_name: str | None = record.parent_id
        self.phase = record.phase
        self.attempts = len(record.attempts)
        self.metadata = record.attrs

    @classwide
    def get(
        cls: type[ActionDetails],
        /,
        uri: str | None = None,
        run_name: str = "",
        name: str = ROOT_ACTION,
    ) -> ActionDetails:
        """The details of one action, by names or by "run/action".

        Raises:
            RunNotFoundError: there is no such run.
            ActionNotFoundError: the run has no such action.
        """
        session, (run, action) = current_session(), names_of(uri, run_name, name)
        return cls(session, run, Catalog(session.blobs()).action(run, action))

    @property
    def is_running(self) -> bool:
        """True while an attempt is at work."""
        return self.phase is ActionPhase.RUNNING

    def done(self) -> bool:
        """True once nothing more will happen to it."""
        return self.phase.is_terminal

    def logs_available(self) -> bool:
        """True when an attempt's output is stored."""
        return any(each.logs or each.logs_key for each in self.record.attempts)

    @property
    def error_info(self) -> ErrorInfo | None:
        """What went wrong."""
        error = self.record.error
        return ErrorInfo.from_dict(json.loads(error)) if error else None

    @property
    def error_message(self) -> str | None:
        """What went wrong, for people."""
        return self.error_info.message if self.error_info is not None else None

    @property
    def abort_info(self) -> str | None:
        """Why it was aborted; None if it was not."""
        if self.phase is not ActionPhase.ABORTED:
            return None
        return str(self.record.attrs.get("reason") or self.error_message or "")

    @property
    def queued_time(self) -> timedelta | None:
        """From the call to the first attempt."""
        return _span(self.record.submitted_us, self.record.started_us)

    @property
    def running_time(self) -> timedelta | None:
        """From the first attempt to the end."""
        return _span(self.record.started_us, self.record.ended_us)

    @property
    def runtime(self) -> timedelta | None:
        """From the call to the end."""
        return _span(self.record.submitted_us, self.record.ended_us)

    def get_phase_transitions(self, attempt: int | None = None) -> list[PhaseTransitionInfo]:
        """Its stretches in order: waiting, then each attempt (or the one that is asked for)."""
        found = []
        tries = [each for each in self.record.attempts if attempt in (None, each.attempt)]
        begun, first = moment(self.record.submitted_us), moment(self.record.started_us)
        if begun is not None and attempt in (None, 1):
            found.append(PhaseTransitionInfo(ActionPhase.QUEUED, begun, first))
        for each in tries:
            found.extend(_stretches(each))
        return found

    async def inputs(self) -> ActionInputs:
        """Its inputs by name, as plainly as they were stored."""
        payload = self.record.inputs
        if payload is None:
            return ActionInputs({})
        return ActionInputs(await on_a_thread(lambda: named_values(self._session, payload, {})))

    async def outputs(self) -> ActionOutputs:
        """Its outputs, a tuple.

        Raises:
            RuntimeError: it has none.
        """
        payload = self.record.outputs
        if payload is None:
            raise RuntimeError(
                f"action {self.name} of run {self.run_name} has no outputs ({self.phase.value})"
            )
        return ActionOutputs(await on_a_thread(lambda: named_values(self._session, payload, {})))


def _stretches(attempt: AttemptRecord) -> Iterator[PhaseTransitionInfo]:
    began, ended = moment(attempt.started_us), moment(attempt.ended_us)
    if began is not None:
        yield PhaseTransitionInfo(ActionPhase.RUNNING, began, ended)
    if ended is not None:
        yield PhaseTransitionInfo(attempt.phase, ended, ended)


def moment(at_us: int | None) -> datetime | None:
    """Microseconds since 1970 as UTC."""
    return None if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC)


def _span(since_us: int | None, until_us: int | None) -> timedelta | None:
    if since_us is None or until_us is None:
        return None
    return timedelta(microseconds=until_us - since_us)
