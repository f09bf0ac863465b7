"""Says that attempts have begun, of those that last a while; quick ones save the message.

One thread per process looks at all attempts that run there, and tells of those that have lasted
long enough in one message per run. (A timer for each would cost a fifth of a short attempt.)

Rule: an attempt that ends is forgotten before its outcome is told, so from here "started" never
follows the end of its attempt.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.core.model import Event, Place
from flyte_ray.core.ports import BookKeeper
from flyte_ray.engine import rows

AFTER_S = 0.5
"""Attempts that last longer say so, for people who watch."""
LOOK_S = 0.25
LINGER_S = 5.0
"""So long the thread stays when there is nothing to look at."""


class Announcer:
    """Knows the attempts that run in this process. Thread-safe."""

    def __init__(
        self, book: BookKeeper, place: Place, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._book = book
        self._place = place
        self._now = now
        self._lock = threading.Lock()
        self._silent: OrderedDict[int, tuple[float, AttemptSpec]] = OrderedDict()
        """In the order in which they began."""
        self._last = 0
        self._is_looking = False

    def begin(self, spec: AttemptSpec) -> int:
        """An attempt begins; returns what to `end` it with. A run's root is told of at once."""
        if spec.parent_id is None:
            self._book.note(spec.run.name, [rows.started(spec, self._place)])
        with self._lock:
            self._last = number = self._last + 1
            if spec.parent_id is None:
                return number
            self._silent[number] = (self._now(), spec)
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._watch, daemon=True, name="flyte_ray-started").start()
        return number

    def end(self, number: int) -> None:
        """It has ended."""
        with self._lock:
            self._silent.pop(number, None)

    def look(self) -> None:
        """Tell of those that have lasted long enough by now."""
        told: dict[str, list[Event]] = {}
        with self._lock:
            while self._silent:
                number, (began, spec) = next(iter(self._silent.items()))
                if self._now() - began < AFTER_S:
                    break
                del self._silent[number]
                told.setdefault(spec.run.name, []).append(rows.started(spec, self._place))
            # Noted under the lock: who ends just now waits here, and the outcome comes after.
            for run, events in told.items():
                self._book.note(run, events)

    def _watch(self) -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(LOOK_S)
            self.look()
            with self._lock:
                if self._silent:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > LINGER_S:
                    self._is_looking = False
                    return
