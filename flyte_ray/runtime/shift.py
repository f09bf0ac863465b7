"""The runner's end of the line: one Ray task that carries out attempt after attempt.

A shift lasts as long as its caller has attempts of its shape, and a moment longer: the next call
of a chain comes within a millisecond or two. The main thread does all of it, reading the line
between two attempts, and now and then while one runs (see `waiting`), so that a cancellation is
heard and attempts that wait behind a long one go back in time.

Results go out at once, or a few at a time while the next attempts are as short.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from flyte_ray.runtime.wire import AttemptBytes

LINGER_S = 0.05
"""How long a runner holds its resources for a caller that has nothing for it just now."""
HOLD_S = 0.002
"""How long a result may wait for the next one."""
FIRST_LOOK_S = 0.01
"""How long it may at most, when the next attempt turns out to be long."""

Result = tuple[int, bytes, float]


class Shift:
    """The line to the caller, what is to be done, and what is done but not said."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._shared: dict[int, tuple[bytes, bytes]] = {}
        self._todo: deque[tuple[int, AttemptBytes]] = deque()
        self._done: list[Result] = []
        self._held_since = 0.0
        self._current = 0
        self._stop_current = False
        self._has_ended = False
        self._said_waiting = False

    def work(self, carry_out: Callable[[AttemptBytes, Shift], bytes]) -> list[tuple[int, bytes]]:
        """Work until the caller ends the shift or is gone; returns what could not be said.

        Args:
            carry_out: takes one attempt to its outcome.
        """
        try:
            while self._next():
                self._current, data = self._todo.popleft()
                self._stop_current = self._said_waiting = False
                began = time.monotonic()
                outcome = carry_out(data, self)
                ended = time.monotonic()
                if not self._done:
                    self._held_since = ended
                self._done.append((self._current, outcome, ended - began))
                self._current = 0
                if not self._todo or ended - self._held_since > HOLD_S:
                    self._flush()
            self._flush()
        except (OSError, EOFError):
            pass  # the caller is gone; Ray ends what it owned
        return [(number, outcome) for number, outcome, _ in self._done]

    def end(self) -> None:
        """Take no more attempts after this one; what was not begun goes back."""
        self._give_back()
        self._has_ended = True

    @property
    def first_look_s(self) -> float | None:
        """When to look at the line for the first time; None: as usual."""
        return FIRST_LOOK_S if self._done else None

    def look(self, *, waits_for_children: bool) -> bool:
        """Called while an attempt runs: hear what came in. True if the attempt is to stop."""
        try:
            self._flush()
            while self._line.poll(0):
                self._hear()
            self._give_back()
            if waits_for_children and not self._said_waiting:
                self._said_waiting = True
                self._say("waiting")
        except (OSError, EOFError):
            pass
        return self._stop_current

    def _next(self) -> bool:
        """Wait for something to do; False when the shift is over."""
        while self._line.poll(0):
            self._hear()
        while not self._todo and not self._has_ended:
            if not self._line.poll(LINGER_S):
                self._say("idle")
            self._hear()
        return bool(self._todo) and not self._has_ended

    def _hear(self) -> None:
        match pickle.loads(self._line.recv_bytes()):
            case ("shared", number, shared):
                self._shared[number] = shared
            case ("run", batch):
                self._todo.extend(
                    (number, (*self._shared[shared], own)) for number, shared, own in batch
                )
            case ("cancel", number):
                self._cancel(number)
            case ("end",):
                self._has_ended = True

    def _cancel(self, number: int) -> None:
        if number == self._current:
            self._stop_current = True
        else:
            self._todo = deque(each for each in self._todo if each[0] != number)
            self._say("dropped", number)

    def _give_back(self) -> None:
        if self._todo:
            self._say("back", [number for number, _ in self._todo])
            self._todo.clear()

    def _flush(self) -> None:
        if self._done:
            self._say("done", self._done)
            self._done = []

    def _say(self, *frame: Any) -> None:
        self._line.send_bytes(pickle.dumps(frame))
