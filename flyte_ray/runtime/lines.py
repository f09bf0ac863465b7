"""Two lines from a worker to a host: a Unix socket on the same machine, an actor call elsewhere.

An actor call costs 1.5 to 2 ms there and back, most of it Ray's own work on both sides; the socket
costs 0.1 ms. The socket lies in a folder that only this user can enter, since what it carries is
pickled. The actor call always works, so whatever is wrong with the socket only costs time.

Frames on the socket: 8 bytes number, 8 bytes length (big-endian), then the data; replies carry the
number of their request and may come in any order.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ray import exceptions as rx

from flyte_ray.runtime import addresses
from flyte_ray.runtime.doors import new_path
from flyte_ray.runtime.outlet import Outlet

logger = logging.getLogger(__name__)

_HEADER = struct.Struct(">QQ")
ELSEWHERE_S = 5.0
"""For so long a host on another node is taken to stay there: to ask for its door costs a call."""


class ActorLine:
    """One actor call per batch. Works across machines."""

    def __init__(self, host: str) -> None:
        self._host = host

    def send(self, data: bytes) -> Future[bytes]:
        """The host's reply."""
        reply: Future[bytes] = Future()
        try:
            ref = addresses.host_handle(self._host).exchange.remote(data)
        except ValueError as error:  # no such actor: it is between two lives
            reply.set_exception(ConnectionError(str(error)))
            return reply
        ref.future().add_done_callback(lambda done: self._landed(done, reply))
        return reply

    def _landed(self, done: Future[Any], reply: Future[bytes]) -> None:
        error = done.exception()
        if isinstance(error, rx.ActorUnavailableError | rx.ActorDiedError):
            addresses.forget(self._host)
            reply.set_exception(ConnectionError(str(error)))
        elif error is not None:
            reply.set_exception(error)
        else:
            reply.set_result(done.result())


class SocketLine:
    """A connection to a host on this machine."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._outlet = Outlet(self._socket)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[bytes]] = {}
        self._number = 0
        self._broken: str | None = None
        threading.Thread(target=self._read, daemon=True, name="flyte_ray-line").start()

    def send(self, data: bytes) -> Future[bytes]:
        """The host's reply; `ConnectionError` when the connection breaks before it."""
        reply: Future[bytes] = Future()
        with self._lock:
            if self._broken is None:
                self._number += 1
                self._waiting[self._number] = reply
                try:
                    self._outlet.put(_HEADER.pack(self._number, len(data)), data)
                    return reply
                except OSError as error:
                    self._waiting.pop(self._number)
                    self._broken = str(error)
        reply.set_exception(ConnectionError(self._broken))
        return reply

    @property
    def is_broken(self) -> bool:
        """True once the host has gone."""
        return self._broken is not None

    def _read(self) -> None:
        stream = self._socket.makefile("rb")
        reason = "the host closed the connection"
        try:
            while header := stream.read(_HEADER.size):
                number, length = _HEADER.unpack(header)
                data = stream.read(length)
                if len(data) < length:
                    break
                self._waiting.pop(number).set_result(data)
        except (OSError, struct.error) as error:
            reason = str(error)
        except KeyError as error:
            reason = f"the host answered what nobody asked: {error}"
        finally:  # whatever ended the reader, nobody waits for what it would have read
            self._end(reason)

    def _end(self, reason: str) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._broken = reason
            left, self._waiting = self._waiting, {}
        for reply in left.values():
            reply.set_exception(ConnectionError(reason))


class BestLine:
    """The socket while there is one, the actor call otherwise."""

    def __init__(
        self, host: str, node: str, door_of: Callable[[str], str | None] = addresses.door_of
    ) -> None:
        self._host = host
        self._node = node
        self._door_of = door_of
        self._actor = ActorLine(host)
        self._connecting = threading.Lock()
        self._socket: SocketLine | None = None
        self._door: str | None = None
        self._look_again_at = -math.inf

    def send(self, data: bytes) -> Future[bytes]:
        """The host's reply, by the quicker line."""
        line = self._socket
        if (line is None or line.is_broken) and self._may_be_here():
            # One at a time: of two who look for the door at once, the later one would find it
            # tried already, and put "no socket" in place of the connection that the other made.
            with self._connecting:
                line = self._socket
                if line is None or line.is_broken:
                    line = self._socket = self._connected()
        return line.send(data) if line is not None else self._actor.send(data)

    def _may_be_here(self) -> bool:
        return time.monotonic() >= self._look_again_at

    def _connected(self) -> SocketLine | None:
        door = self._door_of(self._host)
        if door is None or door == self._door:
            return None
        if not door.startswith(f"{self._node}:"):
            self._look_again_at = time.monotonic() + ELSEWHERE_S
            return None
        self._door = door  # tried once; a restarted host has another door
        try:
            return SocketLine(door.partition(":")[2])
        except OSError as error:
            logger.debug("no socket to host %s: %s", self._host, error)
            return None


Serve = Callable[[bytes, Callable[[bytes], None]], None]
"""Takes a request and what to call with the reply, from any thread."""


def open_door(node: str, serve: Serve) -> str | None:
    """Listen for workers of this machine; the door's address, or None where it cannot be."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = new_path()
        listener.bind(str(path))
        listener.listen(64)
    except OSError as error:
        logger.warning("workers will reach this host by actor calls only: %s", error)
        return None
    _thread(_welcome, listener, serve)
    return f"{node}:{path}"


def _thread(target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, daemon=True, name="flyte_ray-door").start()


def _welcome(listener: socket.socket, serve: Serve) -> None:
    while True:
        guest, _ = listener.accept()
        _thread(_attend, guest, serve)


def _attend(guest: socket.socket, serve: Serve) -> None:
    """Serve one connection: requests are answered as they are done, in any order."""
    stream, outlet = guest.makefile("rb"), Outlet(guest)

    def reply_to(number: int) -> Callable[[bytes], None]:
        def reply(data: bytes) -> None:
            try:
                outlet.put(_HEADER.pack(number, len(data)), data)
            except OSError as error:
                logger.debug("a worker left before its answer: %s", error)

        return reply

    try:
        while header := stream.read(_HEADER.size):
            number, length = _HEADER.unpack(header)
            serve(stream.read(length), reply_to(number))
    except (OSError, struct.error) as error:
        logger.debug("a worker's connection broke: %s", error)
    finally:
        guest.close()
