"""All runs that one process hosts: opening, resuming, caring for them, finding them by name.

The `BookKeeper` port of the process: rows and questions go to the host of their run. Opening a
run is the moment at which it exists: `run.json` is put-if-absent, so a taken name is refused
before anything starts.

Care, every few seconds and for each run: a heartbeat, so that others can tell a living run from a
dead one; letters of the mailbox (abort); cache entries for other runs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from flyte_ray import errors
from flyte_ray.core.calls import Answer, Question, RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Event, Settled
from flyte_ray.core.ports import Blobs, CacheIndex, Clock, Executor
from flyte_ray.engine.action import Action
from flyte_ray.engine.adoption import adoptable
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.host import Opening, RunHost
from flyte_ray.engine.memory import Memory
from flyte_ray.store import ledger, run_file
from flyte_ray.store.blobs import is_local
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import abort_reason

logger = logging.getLogger(__name__)

CARE_INTERVAL_S = 2.0
HEARTBEAT_EVERY = 5
"""A heartbeat every fifth round of care, 10 seconds; every round where it costs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskTools:
    """What the hosts of one process share."""

    blobs: Blobs
    cache: CacheIndex
    clock: Clock
    owner: str
    """Who hosts, for the owners' files: machine, process and a unique part."""


class HostDesk:
    """The runs of this process. Thread-safe."""

    def __init__(self, tools: DeskTools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._hosts: dict[str, RunHost] = {}

    # ---- the BookKeeper port

    def record(self, run: str, events: Sequence[Event]) -> Future[None]:
        """Hand events to the run's host; see `core.ports.BookKeeper`."""
        return self.host(run).record(events)

    def note(self, run: str, events: Sequence[Event]) -> None:
        """Hand events to the run's host that nobody waits for."""
        self.host(run).note(events)

    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        """Ask the run's host."""
        try:
            return self.host(run).look_up(questions)
        except errors.FlyteRayError as error:
            future: Future[list[Answer | None]] = Future()
            future.set_exception(error)
            return future

    # ---- runs

    def host(self, run: str) -> RunHost:
        """The host of a run.

        Raises:
            FencedError: the run is not (or no longer) hosted here.
        """
        with self._lock:
            host = self._hosts.get(run)
        if host is None:
            raise errors.FencedError(
                f"run {run} is not hosted here any more: it ended, or another host has it."
            )
        return host

    def find(self, run: str) -> RunHost | None:
        """The host of a run, if it is here."""
        with self._lock:
            return self._hosts.get(run)

    def open(self, spec: RunSpec) -> RunHost:
        """Begin a run. Blocks for a few store operations.

        Raises:
            RunExistsError: the name is taken in this store.
            RunNotFoundError: the run to recover from is not in this store.
        """
        source = self._source(spec)
        book = ledger.create_book(self._tools.blobs, spec, self._tools.owner)
        return self._adopt(Opening(spec=spec, ledger=book, source=source))

    def resume(self, name: RunName) -> RunHost:
        """Take over a run whose host is gone: claim its book, fence the old owner, read all.

        One that recovers a run which is no more goes on only to fail, and to say so.

        Raises:
            FencedError: somebody else was faster.
            RunNotFoundError: there is no such run in this store.
        """
        spec = run_file.read_run(self._tools.blobs, name)
        source, lack = None, None
        try:
            source = self._source(spec)
        except errors.RunNotFoundError as error:
            lack = _source_gone(spec, error)
        reason = abort_reason(self._tools.blobs, name)
        book, rows = ledger.open_book(self._tools.blobs, name, self._tools.owner)
        host = self._adopt(Opening(spec=spec, ledger=book, rows=rows, source=source, lack=lack))
        if reason is not None:
            host.stop(reason)
        return host

    def end_abandoned(self, name: RunName, reason: str) -> None:
        """Take over a run that nobody drives any more, only to close its book as aborted.

        Raises:
            FencedError: somebody else was faster.
            RunNotFoundError: there is no such run in this store.
        """
        self.resume(name).close_aborted(reason).result()
        self.forget(name)

    def _source(self, spec: RunSpec) -> Memory | None:
        if not spec.recover or spec.source_run is None:
            return None
        return self._adoptable(spec.source_run)

    def _adoptable(self, run: RunName) -> Memory:
        """What a recovery of that run need not repeat.

        If it was a recovery itself and was cut off, it has not asked yet for everything that it
        would have adopted: then the run it recovered, and so on, fills the gaps.
        """
        catalog = Catalog(self._tools.blobs)
        memory = adoptable(self._tools.blobs, run)
        spec, forced = catalog.spec(run), set[str]()
        while spec.recover and spec.source_run is not None:
            forced.update(spec.force_rerun_actions)
            try:
                earlier = adoptable(self._tools.blobs, spec.source_run)
                spec = catalog.spec(spec.source_run)
            except errors.RunNotFoundError:
                break  # removed since: what it had is run again
            memory.fill_in(earlier, forced)
        return memory

    def _adopt(self, opening: Opening) -> RunHost:
        host = RunHost(opening, blobs=self._tools.blobs, cache=self._tools.cache)
        with self._lock:
            self._hosts[opening.spec.name] = host
        return host

    def forget(self, run: str) -> None:
        """Drop a run that has ended."""
        with self._lock:
            self._hosts.pop(run, None)

    async def drive(self, root: Action, executor: Executor) -> Settled:
        """Drive a run's root to its end, caring for the run meanwhile."""
        run = root.spec.run.name
        host = self.host(run)
        driver = Driver(executor=executor, book=self, clock=self._tools.clock)
        care = asyncio.ensure_future(self._care_for(host))
        try:
            return await host.drive(root, driver)
        finally:
            # What goes wrong in here must not change what the run came to.
            care.cancel()
            await asyncio.wait({care})
            if not care.cancelled() and care.exception() is not None:
                logger.error("care for run %s failed", run, exc_info=care.exception())

    async def _care_for(self, host: RunHost) -> None:
        rounds, told = 0, ""
        while True:
            await self._tools.clock.sleep(CARE_INTERVAL_S)
            rounds += 1
            try:
                await asyncio.to_thread(self._one_round, host, rounds)
            except Exception as error:  # whatever it was, the next round must come
                if repr(error) != told:  # once, not every two seconds until somebody mends it
                    unforeseen = not isinstance(error, errors.StoreError)
                    logger.warning(
                        "care for run %s is put off: %s", host.spec.name, error, exc_info=unforeseen
                    )
                told = repr(error)
            else:
                told = ""

    def _one_round(self, host: RunHost, number: int) -> None:
        blobs, run = self._tools.blobs, host.spec.name
        if is_local(blobs) or number % HEARTBEAT_EVERY == 0:
            run_file.write_heartbeat(blobs, run, host.epoch, number)
        reason = abort_reason(blobs, run)
        if reason is not None:
            host.stop(reason)
        host.tick()


def _source_gone(spec: RunSpec, error: errors.RunNotFoundError) -> errors.RunNotFoundError:
    told = errors.RunNotFoundError(
        f"run {spec.name} recovers run {spec.source_run}, which is no longer in the store, so it"
        " cannot go on: what it had taken over and done stands. Go on from there, and run the rest"
        f" anew: flyte-ray rerun {spec.name} --recover",
        run_name=error.run_name,
    )
    told.__cause__ = error
    return told
