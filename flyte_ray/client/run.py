"""The handle of a run: the same in every mode, and for runs of other processes and other days.

While its host can be asked, the handle asks it; otherwise it reads the record. What a run was and
what came of it is always read from the store, never remembered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from flyte_ray import errors
from flyte_ray.client import watch
from flyte_ray.client.action import Action, stored_report
from flyte_ray.client.dual import blocking, classwide
from flyte_ray.client.engines import connected_engine
from flyte_ray.client.listing import matching_runs
from flyte_ray.client.outputs import ActionInputs, ActionOutputs, named_values
from flyte_ray.client.progress import follow
from flyte_ray.client.session import Session, current_session
from flyte_ray.client.stored_link import StoredLink
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.failure import ErrorInfo, to_exception
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import ActionPhase, Settled
from flyte_ray.core.ports import RunLink
from flyte_ray.core.progress import Progress, progress_of
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog, RunRecord
from flyte_ray.store.fold import ActionRecord


class Run:
    """One run. Made by `flyte_ray.run`, or by `Run.get(name)`.

    Example:
        >>> import flyte_ray as flyte
        >>> run = flyte.with_runcontext("local").run(task, x=1)  # doctest: +SKIP
        >>> run.phase, run.outputs()[0]  # doctest: +SKIP
        (<ActionPhase.SUCCEEDED: 'succeeded'>, 2)
    """

    def __init__(
        self,
        session: Session,
        spec: RunSpec,
        *,
        link: RunLink | None = None,
        interface: Interface | None = None,
        detached: bool = False,
    ) -> None:
        self._session = session
        self._spec = spec
        self._catalog = Catalog(session.blobs())
        self._link: RunLink = link or StoredLink(session.blobs(), spec.name)
        self._interface = interface
        self._is_ours = not detached
        if link is not None and not detached:
            watch.remember(self)

    # ---- what it is

    @property
    def name(self) -> str:
        """The run's name, unique in its store."""
        return self._spec.name

    @property
    def url(self) -> str:
        """Where the record lies."""
        return f"{self._session.store_url.rstrip('/')}/{layout.run_folder(self._spec.name)}"

    @property
    def spec(self) -> RunSpec:
        """What was asked for."""
        return self._spec

    @property
    def phase(self) -> ActionPhase:
        """Where the root action stands."""
        settled = self._settled()
        return settled.phase if settled is not None else self.progress().phase

    def done(self) -> bool:
        """True once nothing more will happen."""
        return self._settled() is not None

    def progress(self) -> Progress:
        """A look at the run: counts per task, the latest failures."""
        progress = self._link.progress()
        if progress is not None:
            return progress
        actions = list(self._catalog.actions(self.name).values())
        record = self._catalog.run(self.name)
        ended = record.ended_us or int(time.time() * 1e6)
        return progress_of(
            self._spec.name,
            record.phase,
            [(a.task, a.phase, a.cached, a.parent_id) for a in actions if a.kind == "task"],
            elapsed_s=max(0.0, (ended - record.started_us) / 1e6),
            notice=watch.silence_of(record),
        )

    # ---- waiting and ending

    @blocking
    def wait(self, quiet: bool = False, wait_for: str = "terminal") -> None:
        """Wait for the end, showing progress; a failed run does not raise here.

        Ctrl-C aborts the run and waits for that; a second one leaves at once. A run that was
        started detached, or by somebody else, is only let go of.

        Args:
            quiet: show nothing.
            wait_for: "terminal", or "running" to return once the root has begun.
        """
        try:
            if wait_for == "running":
                self._wait_until_running()
                return
            if not quiet and not self.done():
                follow(self, pause=self._link.wait)
            self._link.wait()
        except KeyboardInterrupt:
            if self._is_ours:
                self._abort_and_wait("Ctrl-C")
            raise
        finally:
            end = self._settled_quietly()
            if end is not None:
                watch.forget(self, failure=_failure_of(end))

    def _abort_and_wait(self, reason: str) -> None:
        try:
            self._link.abort(reason)
            self._link.wait()
        except KeyboardInterrupt:
            watch.forget(self)  # once more: somebody is in a hurry
            raise

    def _wait_until_running(self) -> None:
        while not self.done() and self.progress().phase is ActionPhase.QUEUED:
            self._link.wait(0.05)

    @blocking
    def abort(self, reason: str = "aborted by request") -> None:
        """End the run and all below it. Returns when the request is on its way; see `wait`."""
        self._link.abort(reason)

    def finish(self) -> None:
        """Wait for the end, showing nothing."""
        self.wait(quiet=True)

    def stop(self, reason: str) -> None:
        """Ask for the end."""
        self._link.abort(reason)

    @blocking
    def raise_for_status(self) -> None:
        """Raise what a parent of the root would have seen, if the run did not succeed.

        Raises:
            RuntimeUserError: not finished yet (code "RunNotDoneError"); or the root's own error.
        """
        settled = self._settled()
        if settled is None:
            raise errors.RuntimeUserError(
                "RunNotDoneError", f"run {self.name} has not ended yet; call run.wait() first."
            )
        if settled.error is not None:
            raise to_exception(settled.error)

    # ---- data

    @blocking
    def outputs(self) -> ActionOutputs:
        """What the root returned, a tuple with one element per output; waits for the end.

        Raises:
            RuntimeError: the run did not succeed; says why.
        """
        self.finish()
        settled = self._settled()
        if settled is None or settled.outputs is None:
            error = settled.error if settled is not None else None
            why = f": {error.code}: {error.message}" if error is not None else ""
            phase = settled.phase.value if settled is not None else "unknown"
            raise RuntimeError(f"run {self.name} has no outputs ({phase}){why}")
        types = self._interface.outputs if self._interface is not None else {}
        return ActionOutputs(named_values(self._session, settled.outputs, types))

    @blocking
    def inputs(self) -> ActionInputs:
        """The root's inputs by name, defaults filled in."""
        types = {}
        if self._interface is not None:
            types = {name: kind for name, (kind, _) in self._interface.inputs.items()}
        return ActionInputs(named_values(self._session, self._spec.inputs, types))

    @blocking
    def details(self) -> RunRecord:
        """The run's record: spec, phase, counts, times."""
        return self._catalog.run(self.name)

    def actions(self) -> list[ActionRecord]:
        """All actions so far, parents before children."""
        return list(self._catalog.actions(self.name).values())

    @blocking
    def first_failure(self) -> ActionRecord | None:
        """The action that failed first; a child rather than the root."""
        failed = [
            action
            for action in self.actions()
            if action.phase in (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
        ]
        failed.sort(key=lambda action: (action.action_id == ROOT_ACTION, action.ended_us or 0))
        return failed[0] if failed else None

    @blocking
    def get_logs(self, action: str = ROOT_ACTION, attempt: int | None = None) -> Iterator[str]:
        """What an attempt printed and logged, line by line; the last attempt by default."""
        return iter(self._catalog.log_text(self.name, action, attempt).splitlines())

    @blocking
    def show_logs(self, attempt: int | None = None, max_lines: int = 100, **_: Any) -> None:
        """Print the last lines of what the root printed."""
        watch.say("\n".join(list(self.get_logs(attempt=attempt))[-max_lines:]))

    @blocking
    def get_report(self, attempt: int | None = None) -> str:
        """The HTML of the root's report; of the last attempt that stored one by default.

        Raises:
            UsageError: it has stored none; says how to store one.
        """
        return stored_report(self._catalog, self.name, ROOT_ACTION, attempt)

    @property
    def action(self) -> Action:
        """The root action."""
        return Action.get(run_name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """Name, task, phase, times and counts, as plain values."""
        record = self._catalog.run(self.name)
        return {
            "name": self.name,
            "url": self.url,
            "task": self._spec.task,
            "phase": record.phase.value,
            "started_us": record.started_us,
            "ended_us": record.ended_us,
            "counts": dict(record.counts),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def __repr__(self) -> str:
        return f"<Run {self.name} of {self._spec.task}>"

    # ---- finding

    @classwide
    def get(cls: type[Run], /, name: str) -> Run:
        """The handle of any run in the store; follows it if it is underway.

        Raises:
            RunNotFoundError: there is no such run; names the nearest.
        """
        session = current_session()
        spec = Catalog(session.blobs()).spec(name)
        link = None
        if spec.mode != "local":
            engine = connected_engine(session)
            link = engine.attach(spec.name) if engine is not None else None
        return cls(session, spec, link=link, detached=True)

    @classwide
    def listall(cls: type[Run], /, limit: int = 100, **filters: Any) -> Iterator[Run]:
        """Runs, newest first. Filters: see `client.listing.RunFilter`."""
        session = current_session()
        for record in matching_runs(Catalog(session.blobs()), limit, filters):
            yield cls(session, record.spec)

    # ---- inside

    def _settled(self) -> Settled | None:
        return self._link.settled()

    def _settled_quietly(self) -> Settled | errors.FlyteRayError | None:
        try:
            return self._settled()
        except errors.FlyteRayError as error:
            return error


def _failure_of(end: Settled | errors.FlyteRayError) -> str | None:
    """How a run failed, in words; None for one that succeeded."""
    if isinstance(end, errors.FlyteRayError):
        return f"failed: {end.code}: {end}"
    if end.phase.is_success:
        return None
    why = f": {end.error.code}: {end.error.message}" if end.error is not None else ""
    return f"{end.phase.value}{why}"


def error_of(record: ActionRecord) -> ErrorInfo | None:
    """The error of a recorded action."""
    return ErrorInfo.from_dict(json.loads(record.error)) if record.error else None
