"""The handle of a run: the same in every mode, and for runs of other processes and other days.

While its host can be asked, the handle asks it; otherwise it reads the record. What a run was and
what came of it is always read from the store, never remembered.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from flyte_ray import errors
from flyte_ray.client import watch
from flyte_ray.client.details import ActionDetails
from flyte_ray.client.dual import blocking, classwide
from flyte_ray.client.engines import connected_engine
from flyte_ray.client.listing import matching_runs
from flyte_ray.client.outputs import ActionOutputs, named_values
from flyte_ray.client.progress import FIRST_LOOK_S, SLOWEST_LOOK_S, follow
from flyte_ray.client.recorded import Converters, RecordedRun
from flyte_ray.client.session import Session, current_session
from flyte_ray.client.stored_link import StoredLink
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.failure import ErrorInfo, to_exception
from flyte_ray.core.interface import Interface
from flyte_ray.core.model import ActionPhase, Settled
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import RunLink
from flyte_ray.core.progress import Progress, progress_of
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.fold import ActionRecord


class Run(RecordedRun):
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
        super().__init__(session, spec, interface)
        self._link: RunLink = link or StoredLink(session.blobs(), spec.name, self._catalog)
        self._is_ours = not detached
        if link is not None and not detached:
            watch.remember(self)

    # ---- what it is

    @property
    def phase(self) -> ActionPhase:
        """Where the root action stands."""
        settled = self._settled()
        return settled.phase if settled is not None else self.progress().phase

    @property
    def raw_phase(self) -> ActionPhase:
        """`phase`, under Flyte's other name: there is no second vocabulary here."""
        return self.phase

    def done(self) -> bool:
        """True once nothing more will happen."""
        return self._settled() is not None

    @property
    def has_host(self) -> bool:
        """True where whoever carries the run is asked; else it is followed by its record."""
        return not isinstance(self._link, StoredLink)

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
        with watch.waiting_for(self):
            self._wait(quiet, wait_for)

    def _wait(self, quiet: bool, wait_for: str = "terminal") -> None:
        try:
            if wait_for == "running":
                self._wait_until_running()
                return
            quiet = quiet or not self._session.settings.progress
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

    def sync(self) -> Run:
        """This run: whatever is asked of it is read anew anyway."""
        return self

    async def watch(self, **_: Any) -> AsyncIterator[ActionDetails]:
        """The root's details at every look, twice a second, until it has ended."""
        async for details in self.action.watch():
            yield details

    def _abort_and_wait(self, reason: str) -> None:
        go_on = f"Go on later: flyte-ray rerun {self.name} --recover"
        try:
            watch.tell(f"{self.name}: aborting, and waiting for what runs (Ctrl-C again: leave it)")
            self._link.abort(reason)
            self._link.wait()
        except KeyboardInterrupt:
            watch.forget(self)  # once more: somebody is in a hurry
            watch.tell(f"{self.name}: left as it was. {go_on}")
            raise
        watch.tell(f"{self.name}: {self.phase}. {go_on}")

    def _wait_until_running(self) -> None:
        between = FIRST_LOOK_S
        while self.progress().phase is ActionPhase.QUEUED and not self._link.wait(between):
            between = min(between * 1.5, SLOWEST_LOOK_S)

    @blocking
    def abort(self, reason: str = "aborted by request") -> None:
        """End the run and all below it. Returns when the request is on its way; see `wait`."""
        self._link.abort(reason)

    def finish(self) -> None:
        """Wait for the end, showing nothing."""
        self._wait(quiet=True)

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
        types = self._interface.outputs if self._interface is not None else {}
        return ActionOutputs(named_values(self._session, self._returned(), types))

    @blocking
    def typed_outputs(
        self, types: Mapping[str, Any], deserializers: Converters | None = None
    ) -> dict[str, Any]:
        """The outputs by name as these types; see `typed_inputs`. Waits for the end.

        Raises:
            RuntimeError: the run did not succeed; says why.
        """
        return self._typed(self._returned(), types, deserializers)

    def _returned(self) -> Payload:
        self.finish()
        settled = self._settled()
        if settled is None or settled.outputs is None:
            error = settled.error if settled is not None else None
            why = f": {error.code}: {error.message}" if error is not None else ""
            phase = settled.phase.value if settled is not None else "unknown"
            said = f"run {self.name} has no outputs ({phase}){why}"
            raise RuntimeError(said) from (to_exception(error) if error is not None else None)
        return settled.outputs

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
        catalog = Catalog(session.blobs())
        spec = catalog.spec(name)
        # The record tells all of a run that has ended, whatever became of its cluster.
        is_over = spec.mode == "local" or catalog.has_ended(name)
        link = None if is_over else _link_of(session, spec)
        return cls(session, spec, link=link, detached=True)

    @classwide
    def listall(cls: type[Run], /, limit: int = 100, **filters: Any) -> Iterator[Run]:
        """Runs, newest first. Filters: see `client.listing.RunFilter`."""
        session = current_session()
        for record in matching_runs(Catalog(session.blobs()), limit, filters):
            yield cls(session, record.spec, detached=True)

    # ---- inside

    def _settled(self) -> Settled | None:
        return self._link.settled()

    def _settled_quietly(self) -> Settled | errors.FlyteRayError | None:
        try:
            return self._settled()
        except errors.FlyteRayError as error:
            return error


def _link_of(session: Session, spec: RunSpec) -> RunLink | None:
    """The line to a run's host; None where there is no cluster that could have it."""
    try:
        engine = connected_engine(session)
    except errors.InitializationError as error:
        watch.tell(f"run {spec.name} is followed by its record: {error}")
        return None
    return engine.attach(spec.name) if engine is not None else None


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
