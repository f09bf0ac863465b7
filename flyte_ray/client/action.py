"""One action of a run, to find, follow and end.

Everything is read from the record; nothing is remembered but the last look at it (`sync` looks
again). The rule to know: actions are ended with their run, so `abort` works on a root alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from flyte_ray import errors
from flyte_ray.author.scope import ActionID
from flyte_ray.client.details import ActionDetails, moment, names_of
from flyte_ray.client.dual import blocking, classwide, on_a_thread
from flyte_ray.client.listing import Phases, TimeFilter, phases_of
from flyte_ray.client.session import Session, current_session
from flyte_ray.client.stored_link import StoredLink
from flyte_ray.client.watch import say
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase
from flyte_ray.engine.clock import SystemClock
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord

LOOK_S = 0.5


class Action:
    """One action of a run, followed through the record.

    Example:
        >>> from flyte_ray.remote import Action
        >>> for action in Action.listall(run.name, in_phase="failed"):  # doctest: +SKIP
        ...     print(action.task_name, action.phase)
    """

    def __init__(self, session: Session, run_name: str, record: ActionRecord) -> None:
        self._session = session
        self._catalog = Catalog(session.blobs())
        self._run_name = run_name
        self._record = record

    @classwide
    def listall(
        cls: type[Action],
        /,
        for_run_name: str,
        in_phase: Phases = None,
        parent_name: str | None = None,
        sort_by: Any = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
    ) -> Iterator[Action]:
        """The actions of a run, parents before children.

        Raises:
            RunNotFoundError: there is no such run.
        """
        session = current_session()
        wanted = phases_of(in_phase)
        for record in Catalog(session.blobs()).actions(for_run_name).values():
            if (
                (not wanted or record.phase in wanted)
                and (parent_name is None or record.parent_id == parent_name)
                and (created_at is None or created_at.holds(record.submitted_us))
                and (updated_at is None or updated_at.holds(record.ended_us))
            ):
                yield cls(session, for_run_name, record)

    @classwide
    def get(
        cls: type[Action], /, uri: str | None = None, run_name: str = "", name: str = ROOT_ACTION
    ) -> Action:
        """One action of a run, by names or by "run/action".

        Raises:
            RunNotFoundError: there is no such run.
            ActionNotFoundError: the run has no such action.
        """
        session, (run, action) = current_session(), names_of(uri, run_name, name)
        return cls(session, run, Catalog(session.blobs()).action(run, action))

    @property
    def name(self) -> str:
        """The action's id."""
        return self._record.action_id

    @property
    def run_name(self) -> str:
        """The run it belongs to."""
        return self._run_name

    @property
    def task_name(self) -> str:
        """The task's full name."""
        return self._record.task

    @property
    def parent_name(self) -> str | None:
        """The action that called it; None for the root."""
        return self._record.parent_id

    @property
    def phase(self) -> ActionPhase:
        """Where it stood at the last look."""
        return self._record.phase

    @property
    def action_id(self) -> ActionID:
        """Its full name."""
        return ActionID(name=self.name, run_name=self._run_name)

    @property
    def start_time(self) -> datetime | None:
        """When its first attempt began, UTC."""
        return moment(self._record.started_us)

    def done(self) -> bool:
        """True once nothing more will happen to it."""
        return self.phase.is_terminal

    async def sync(self) -> Action:
        """Look again."""
        await on_a_thread(self._look)
        return self

    async def details(self) -> ActionDetails:
        """All that the record says of it now."""
        await self.sync()
        return ActionDetails(self._session, self._run_name, self._record)

    async def wait(self, quiet: bool = True) -> None:
        """Wait for its end, looking twice a second."""
        async for _ in self.watch():
            pass

    async def watch(self) -> AsyncIterator[ActionDetails]:
        """Its details at every look, twice a second, until it has ended."""
        clock = SystemClock()
        while True:
            yield await self.details()
            if self.done():
                return
            await clock.sleep(LOOK_S)

    @blocking
    def abort(self, reason: str = "aborted by request") -> None:
        """End it, and all below it. Only the root can be ended by itself.

        Raises:
            UsageError: it is not the root.
        """
        if self.name != ROOT_ACTION:
            raise errors.UsageError(
                f"action {self.name} of run {self._run_name} ends with its run only: cancel the "
                f"call in its parent, or abort the run (`flyte-ray abort {self._run_name}`)."
            )
        StoredLink(self._session.blobs(), self._catalog.spec(self._run_name).name).abort(reason)

    @blocking
    def get_logs(self, attempt: int | None = None, **_: Any) -> Iterator[str]:
        """What an attempt printed and logged, line by line; the last attempt by default."""
        return iter(self._catalog.log_text(self._run_name, self.name, attempt).splitlines())

    @blocking
    def show_logs(self, attempt: int | None = None, max_lines: int = 100, **_: Any) -> None:
        """Print the last lines of what it printed."""
        say("\n".join(list(self.get_logs(attempt=attempt))[-max_lines:]))

    @blocking
    def get_report(self, attempt: int | None = None) -> str:
        """The HTML of its report; of the last attempt that stored one by default.

        Raises:
            UsageError: it has stored none.
        """
        return stored_report(self._catalog, self._run_name, self.name, attempt)

    def _look(self) -> None:
        self._record = self._catalog.action(self._run_name, self.name)

    def __repr__(self) -> str:
        return f"<Action {self.name} of run {self._run_name}: {self.task_name}, {self.phase.value}>"


def stored_report(catalog: Catalog, run: str, action: str, attempt: int | None) -> str:
    """The HTML of a report.

    Raises:
        UsageError: none is stored; says how to store one.
    """
    found = catalog.report_html(run, action, attempt)
    if found is None:
        raise errors.UsageError(
            f"action {action} of run {run} has stored no report: write to flyte_ray.report in a "
            "task that is decorated with report=True, or call report.flush() in it."
        )
    return found
