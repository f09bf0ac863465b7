"""Sockets between processes of one cluster: where a process listens, and how another knocks.

On one machine a Unix socket, in a folder that only its user can enter. Between machines TCP on the
address that Ray uses, with a key that travels through Ray and is proved by both sides before a
byte is read, since what these sockets carry is pickled. Framing and proof are the standard
library's (`multiprocessing.connection`). Whoever cannot get through says so and goes another way,
so a firewall only costs time; and a guest that says nothing keeps nobody else waiting.

A node that loses its power or its network says nothing more, not even that it leaves. So a line
between nodes is asked for signs of life by the kernel, and breaks within two minutes without.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from pathlib import Path

from flyte_ray.engine.user_folder import private_folder

logger = logging.getLogger(__name__)

CANNOT_REACH = (OSError, EOFError, AuthenticationError)
"""What `knock` raises when there is no way through."""

BACKLOG = 128
PROOF_S = 10.0
"""How long each step of connecting to another node, and of proving the key, may take."""
SIGNS_OF_LIFE = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 9,
    "TCP_USER_TIMEOUT": 120_000,
}
"""Options of tcp(7), as far as the system has them: after how many seconds of silence to ask, how
often, how many times; and for how many milliseconds what was sent may stay where it is. The last
also ends a line to a process that is there but reads nothing, which half a minute in a long call
of C would: so it is not shorter.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorAddress:
    """Where a process listens."""

    node: str
    path: str
    """The Unix socket, for those on the same node."""
    inet: tuple[str, int] | None
    """The TCP address, for others; None while the cluster has one node."""
    key: bytes


class Door:
    """Listens for others; each guest gets a thread of its own that runs `welcome`."""

    def __init__(self, *, node: str, ip: str, welcome: Callable[[Connection], None]) -> None:
        self._node = node
        self._ip = ip
        self._welcome = welcome
        self._key = os.urandom(32)
        self._path = new_path()
        self._inet: tuple[str, int] | None = None
        self._lock = threading.Lock()
        neighbours = Listener(str(self._path), family="AF_UNIX", backlog=BACKLOG)
        _thread(_admit, neighbours, welcome)

    def address(self, *, to_other_nodes: bool) -> DoorAddress:
        """Where to knock. Listens on TCP as well from the first time that other nodes may come."""
        with self._lock:
            if to_other_nodes and self._inet is None:
                # Without the key: it would be asked for on the one thread that lets guests in.
                others = Listener((self._ip, 0), family="AF_INET", backlog=BACKLOG)
                self._inet = others.address
                _thread(_admit, others, self._welcome_proved)
        return DoorAddress(node=self._node, path=str(self._path), inet=self._inet, key=self._key)

    def _welcome_proved(self, guest: Connection) -> None:
        try:
            _prove(guest, self._key, PROOF_S, deliver_challenge, answer_challenge)
        except CANNOT_REACH as error:
            logger.debug("somebody knocked and was not let in: %s", error)
            guest.close()
            return
        self._welcome(guest)


def _admit(listener: Listener, welcome: Callable[[Connection], None]) -> None:
    while True:
        try:
            guest = listener.accept()
        except OSError as error:
            logger.debug("somebody knocked and left: %s", error)
            continue
        _thread(welcome, guest)


def knock(address: DoorAddress, node: str, *, proof_s: float = PROOF_S) -> Connection:
    """Connect to a door, from a process on this node. Raises one of `CANNOT_REACH`."""
    if address.node == node:
        return Client(address.path, family="AF_UNIX")
    if address.inet is None:
        raise ConnectionRefusedError(f"the door on node {address.node} is for that node only")
    with socket.create_connection(address.inet, timeout=proof_s) as connected:
        connected.settimeout(None)
        line = Connection(connected.detach())
    try:
        _prove(line, address.key, proof_s, answer_challenge, deliver_challenge)
    except CANNOT_REACH:
        line.close()
        raise
    return line


def _prove(
    line: Connection, key: bytes, proof_s: float, *steps: Callable[[Connection, bytes], None]
) -> None:
    """Both sides show that they know the key; a side that takes too long has not."""
    with socket.socket(fileno=os.dup(line.fileno())) as same:
        _limit(same, proof_s)
        for step in steps:
            step(line, key)
        _limit(same, 0)
        _ask_for_signs_of_life(same)


def _ask_for_signs_of_life(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SIGNS_OF_LIFE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _limit(connected: socket.socket, seconds: float) -> None:
    """Let reading and writing fail after so long; 0 lets them wait for ever."""
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connected.setsockopt(socket.SOL_SOCKET, way, interval)


def new_path() -> Path:
    """A path for a new Unix socket, in a folder of this user's own.

    Raises:
        PermissionError: the folder is somebody else's, or can be entered by others.
    """
    folder = private_folder("doors")
    _clear_away(folder)
    return folder / f"{os.getpid()}-{os.urandom(4).hex()}.sock"


def _clear_away(folder: Path) -> None:
    """Remove the sockets of processes that died, which cannot do it themselves."""
    for door in folder.glob("*.sock"):
        pid = door.name.partition("-")[0]
        if not (pid.isdigit() and _lives(int(pid))):
            door.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _thread(target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, daemon=True, name="flyte_ray-door").start()
