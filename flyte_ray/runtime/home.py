"""What a process that runs attempts keeps between them: code, store, lines, and one lodging a run.

A worker lodges one run at a time, a replica several. The code of all of them is the same: it is
part of what Ray's workers, and pools, are told apart by.
"""

from __future__ import annotations

import os
import signal
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import ray

from flyte_ray._syncify import LoopThread
from flyte_ray.codec.payload import PayloadCodec
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.model import Place
from flyte_ray.core.ports import Blobs, Executor
from flyte_ray.engine import output
from flyte_ray.engine.attempt import Tools
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.collecting import collect_less
from flyte_ray.engine.controller import Surroundings
from flyte_ray.engine.driver import Driver
from flyte_ray.engine.loading import Loader, importable, is_at_hand
from flyte_ray.engine.log_stamp import stamp_log_records
from flyte_ray.engine.timers import Timers
from flyte_ray.runtime.channel import HostChannel
from flyte_ray.runtime.copies import RayCopies
from flyte_ray.runtime.executor import RayExecutor
from flyte_ray.runtime.lines import BestLine
from flyte_ray.runtime.means import Means
from flyte_ray.runtime.resting import Rest
from flyte_ray.runtime.store_order import StoreOrder
from flyte_ray.store.values import RunValues

STOP_GRACE_S = 5.0
ASYNC_LEEWAY_S = 1.0
"""Async bodies are timed on their own loop; only one that blocks it is stopped from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodging:
    """What the attempts of one run share here."""

    tools: Tools
    bodies: RayExecutor
    """Carries out their children."""
    surroundings: Surroundings


class Home:
    """This process, for the runs of one host."""

    lodgings = 1
    """Runs that are remembered; one that comes back after so many others is made ready anew."""

    def __init__(self, store: StoreOrder, host_name: str, means: Means) -> None:
        self.blobs: Blobs = store.open()
        self.loader = Loader(self.blobs)
        self.codecs = PayloadCodec()
        self.clock = SystemClock()
        self.loop = LoopThread().start()
        context = ray.get_runtime_context()
        self.place = Place(
            node=context.get_node_id(), worker=context.get_worker_id(), pid=os.getpid()
        )
        # Ray ends a task's process to get its devices back, and would wait for what it laid down.
        in_actor = context.get_actor_id() is not None
        self._lays_down = in_actor or not any(context.get_accelerator_ids().values())
        self.channel = HostChannel(BestLine(host_name, context.get_node_id()))
        self.is_poisoned = False
        """A body that could not be stopped still runs here."""
        self._means = means
        self._host = host_name
        self._lodgings: OrderedDict[str, Lodging] = OrderedDict()

    def lodging(self, run: RunSpec) -> Lodging:
        """Be ready for attempts of this run: its code importable, its folder the current one."""
        known = self._lodgings.get(run.name)
        if known is None:
            while len(self._lodgings) >= self.lodgings:
                self._lodgings.popitem(last=False)
            known = self._lodgings[run.name] = self._made_ready(run)
        return known

    def around(self, executor: Executor) -> Executor:
        """A hook for homes that do more about children."""
        return executor

    def _made_ready(self, run: RunSpec) -> Lodging:
        code = run.code
        root = self.loader.root(code)
        with importable(root, code):
            pass  # in a process of its own, the code stays importable
        if is_at_hand(code) and Path(code.cwd).is_dir():
            os.chdir(code.cwd)
        copies = RayCopies(self._host, run.name, lays_down=self._lays_down)
        values = RunValues(self.blobs, run.name, raw_data_path=run.raw_data_path, copies=copies)
        tools = Tools(codecs=self.codecs, values=values, blobs=self.blobs, place=self.place)
        bodies = RayExecutor(self._means, self.blobs, str(root or ""))
        executor = Timers(bodies, tools=tools, book=self.channel, clock=self.clock)
        surroundings = Surroundings(
            driver=Driver(executor=self.around(executor), book=self.channel, clock=self.clock),
            book=self.channel,
            codecs=self.codecs,
            values=values,
            blobs=self.blobs,
            ships=bodies.by_value,
            rest=Rest(self._host),
        )
        return Lodging(tools=tools, bodies=bodies, surroundings=surroundings)


def furnish() -> None:
    """Once per process, before the first attempt: what is printed and logged is captured."""
    output.install()
    stamp_log_records()
    collect_less()


def take_interrupts() -> None:
    """Make `ray.cancel` work. Called by the main thread.

    Ray blocks SIGINT in workers, and a head that was started in the background ignores it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
