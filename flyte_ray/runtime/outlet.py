"""Writes frames to a socket without making whoever writes wait for the other side to read.

Two sides that answer what they read on the thread that reads would, with large frames, both wait
for the other to read: for ever. Here a frame goes out at once as far as the socket takes it; what
is left goes out from a thread of its own, in order. That thread lives while something is left.
"""

from __future__ import annotations

import socket
import threading
from collections import deque


class Outlet:
    """The writing end of one connection. Thread-safe; frames do not mix."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._left: deque[memoryview] = deque()
        self._is_draining = False
        """A thread is on its way with what was left: only that thread writes to the socket."""
        self._broken: OSError | None = None

    def put(self, *parts: bytes) -> None:
        """Send the concatenated parts. Never blocks.

        Raises:
            OSError: the connection is broken; what was put before may not have arrived either.
        """
        data = memoryview(b"".join(parts))
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if self._is_draining:
                self._left.append(data)
            elif data := data[self._sent(data) :]:
                self._left.append(data)
                self._is_draining = True
                threading.Thread(target=self._drain, daemon=True, name="flyte_ray-outlet").start()

    def _sent(self, data: memoryview) -> int:
        try:
            return self._connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _drain(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._connection.sendall(data)
            except OSError as error:  # the reader of the connection hears of it, too
                with self._lock:
                    self._broken = error
                    self._left.clear()
                return

    def _next(self) -> memoryview | None:
        """What the draining thread sends next; None, in the same breath, when it is done."""
        with self._lock:
            if self._left:
                return self._left.popleft()
            self._is_draining = False
            return None
