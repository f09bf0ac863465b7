"""The door of this process, and which knock was expected for what.

Whoever asks for a runner leaves word here and sends the number of that word along; the runner says
it when it knocks. One door per process, opened when the first runner is asked for.
"""

from __future__ import annotations

import itertools
import logging
import pickle
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import ray

from flyte_ray.runtime.doors import CANNOT_REACH, Door, DoorAddress, knock

logger = logging.getLogger(__name__)

Arrival = Callable[[Connection], None]
"""Attends a guest, on a thread of its own."""


class Reception:
    """Lets in those who are expected. Thread-safe."""

    def __init__(self, node: str, ip: str) -> None:
        self._door = Door(node=node, ip=ip, welcome=self._attend)
        self._numbers = itertools.count(1)
        self._expected: dict[int, Arrival] = {}

    def expect(self, arrival: Arrival) -> int:
        """Leave word that somebody comes; the number is what they say."""
        number = next(self._numbers)
        self._expected[number] = arrival
        return number

    def forget(self, number: int) -> None:
        """Nobody comes any more."""
        self._expected.pop(number, None)

    def address(self, *, to_other_nodes: bool) -> DoorAddress:
        """Where they knock."""
        return self._door.address(to_other_nodes=to_other_nodes)

    def _attend(self, guest: Connection) -> None:
        try:
            arrival = self._expected.pop(pickle.loads(guest.recv_bytes()), None)
        except CANNOT_REACH as error:
            logger.debug("a guest left at the door: %s", error)
            return
        if arrival is None:
            guest.close()
            return
        arrival(guest)


def visit(address: DoorAddress, number: int) -> Connection:
    """Knock at another process's door and say who was expected. Raises one of `CANNOT_REACH`."""
    line = knock(address, this_node())
    line.send_bytes(pickle.dumps(number))
    return line


_lock = threading.Lock()
_reception: Reception | None = None
_node: str | None = None


def reception() -> Reception:
    """This process's."""
    global _reception
    with _lock:
        if _reception is None:
            ip: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            _reception = Reception(this_node(), ip)
        return _reception


def this_node() -> str:
    """The id of the node that this process runs on. Asked for once."""
    global _node
    if _node is None:
        _node = ray.get_runtime_context().get_node_id()
    return _node
