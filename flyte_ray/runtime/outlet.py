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
            if not self._left:
                data = data[self._sent(data) :]
                if not data:
                    return
                threading.Thread(target=self._drain, daemon=True, name="flyte_ray-outlet").start()
            self._left.append(data)

    def _sent(self, data: memoryview) -> int:
        try:
            return self._connection.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                data = self._left[0]
            try:
                self._connection.sendall(data)
            except OSError as error:  # the reader of the connection hears of it, too
                with self._lock:
                    self._broken = error
                    self._left.clear()
                return
            with self._lock:
                # Only now: while anything is left here, nobody writes past it.
                self._left.popleft()
