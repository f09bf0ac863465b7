"""Asks Ray for runners: the Ray tasks that carry out the attempts of one shape."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import ray

from flyte_ray.runtime.options import Nodes, Request
from flyte_ray.runtime.reception import reception
from flyte_ray.runtime.runner_link import Lost, Runner, WorkItem
from flyte_ray.runtime.waiting import current_wait
from flyte_ray.runtime.wire import Order

Tell = Callable[[Any], None]


class RayHirer:
    """The `Hirer` of one shape: the remote function with its options, and what all share."""

    def __init__(self, handle: Any, request: Request, nodes: Nodes) -> None:
        self._handle = handle
        self._request = request
        self._nodes = nodes

    def capacity(self) -> int:
        """Runners to ask for at most."""
        return self._nodes.room_for(self._request)

    def hire(self, runner: Runner, attend: Callable[[Runner], None], tell: Tell) -> bool:
        """Ask for a runner that comes to this process's door."""
        desk = reception()

        def arrived(line: Connection) -> None:
            runner.line = line
            attend(runner)

        def ended(word: Any) -> None:
            desk.forget(number)
            tell(word)

        number = desk.expect(arrived)
        door = desk.address(to_other_nodes=len(self._nodes.totals()) > 1)
        order = Order(visit=(door, number))
        runner.ref = self._handle.remote(order)
        _await(runner.ref, ended)
        return True

    def kill(self, runner: Runner) -> None:
        """End the Ray task, and its worker with it."""
        ray.cancel(runner.ref, force=True, recursive=True)

    def kill_carried(self, ref: Any) -> None:
        """End the Ray task, and its worker with it."""
        ray.cancel(ref, force=True, recursive=True)

    def wanted(self) -> None:
        """Ray sees what waits."""

    def carry(self, item: WorkItem, tell: Tell) -> Any:
        """Ask for one attempt to be carried out by a Ray task of its own."""
        ref = self._handle.remote(Order(attempt=(*item.shared, item.data)))
        _await(ref, tell)
        return ref


def _await(ref: Any, tell: Tell) -> None:
    """Have the end of a Ray call told, by the main thread where that waits for children."""
    wait = current_wait()
    if wait is not None:
        wait.watch(ref, tell)
    else:
        watch(ref, tell)


def watch(ref: Any, tell: Tell) -> None:
    """Have the end of a Ray call told, by a thread of Ray's."""

    def landed(done: Any) -> None:
        error = done.exception()
        tell(done.result() if error is None else Lost(error))

    ref.future().add_done_callback(landed)
