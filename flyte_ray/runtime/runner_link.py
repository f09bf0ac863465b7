"""The caller's end of the line to one runner: what it has in hand, what it says.

A runner is a process that carries out attempts for a caller: a Ray task that works off the
attempts of one shape, or a replica of a pool. It knocks at the caller's door; the reference of the
Ray call that made it come tells of its death. Frames are pickled tuples, batches where there is
more than one thing to say:

    caller to runner   ("shared", id, (run, options))   ("run", [(number, id, attempt), …])
                       ("cancel", number)   ("end",)
    runner to caller   ("done", [(number, outcome, seconds), …])   ("back", [number, …])
                       ("dropped", number)   ("waiting",)   ("lent", number)
                       ("idle",)   ("leaving",)

What attempts share is sent once, ahead of the first of them. "back" returns attempts that it had
not begun, when the one before takes long. "waiting" says that its attempt waits for children and
has lent its CPU; "lent", of a replica, that this attempt does and has given up its slot. After
"idle" only the caller ends the shift, so that no attempt is sent to a runner that is about to
leave. A replica that is to go says "leaving"; what was on its way to it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol

from ray import exceptions as rx

from flyte_ray.core.calls import AttemptSpec

UNKNOWN_PACE_S = 1.0
BATCH_S = 0.01
"""A runner is given about so much work at a time."""
LONGEST_BATCH = 64
BATCH_BYTES = 64 * 1024
"""A frame holds about so much at most."""
LINE_OUTLIVES_S = 2.0
"""How long a line may outlive the Ray call of a runner that died: for what it had still said."""


class Lost:
    """In the place of an outcome: why there is none."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@dataclass(slots=True, eq=False)
class WorkItem:
    """One attempt of this process's children, until its outcome is here."""

    spec: AttemptSpec
    shared: tuple[bytes, bytes]
    """The run and the options, as `wire` packs them."""
    data: bytes
    """The attempt's own part."""
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Future[bytes]
    runner: Runner | None = None
    number: int = 0


@dataclass(slots=True, eq=False)
class Runner:
    """One runner, as its caller sees it. Its fields are guarded by the dispatch's lock."""

    ref: Any = None
    slots: int = 1
    line: Connection | None = None
    in_hand: dict[int, WorkItem] = field(default_factory=dict)
    told: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    """What it knows of what attempts share, and under which id."""
    lent: set[int] = field(default_factory=set)
    """Of these, attempts that wait for children and hold no slot."""
    is_waiting: bool = False
    is_leaving: bool = False
    pace_s: float = UNKNOWN_PACE_S
    has_hung_up: bool = False
    last_word: Any = None
    """The value or error of its Ray call, once that has ended."""
    _sending: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Lock = field(default_factory=threading.Lock)
    """Held while the line's descriptor must not become somebody else's."""

    @property
    def is_free(self) -> bool:
        """True for one that is here with nothing to do."""
        return self.line is not None and not self.is_leaving and not self.in_hand

    @property
    def has_a_slot(self) -> bool:
        """True for one that would begin another attempt at once."""
        return self.room(0) > 0

    @property
    def is_serving(self) -> bool:
        """True for one that works or will; not while it waits for children of its attempt."""
        return not self.is_leaving and not self.is_waiting and self.last_word is None

    def room(self, share: int) -> int:
        """How many more attempts it may be given, when `share` is a fair part of the queue."""
        if self.line is None or not self.is_serving:
            return 0
        has = len(self.in_hand) - len(self.lent)
        by_pace = min(LONGEST_BATCH, int(self.slots * BATCH_S / self.pace_s))
        return max(self.slots, min(by_pace, share + has)) - has

    def burden(self) -> float:
        """Attempts per slot."""
        return len(self.in_hand) / self.slots

    def begun(self) -> list[int]:
        """What it is at, as far as one can tell: who lent a slot, and as many others as it has."""
        others = (number for number in self.in_hand if number not in self.lent)
        return [*self.lent, *itertools.islice(others, self.slots)]

    def take(self, queue: deque[WorkItem], room: int, numbers: Iterator[int]) -> list[WorkItem]:
        """Take a frame of attempts off a queue into its hands, each with the next number."""
        batch: list[WorkItem] = []
        size = 0
        while queue and len(batch) < room and size < BATCH_BYTES:
            item = queue.popleft()
            item.runner, item.number = self, next(numbers)
            self.in_hand[item.number] = item
            batch.append(item)
            size += len(item.data)
        return batch

    def take_back(self, number: int) -> WorkItem | None:
        """Take an attempt out of its hands."""
        self.lent.discard(number)
        return self.in_hand.pop(number, None)

    def give(self, items: list[WorkItem]) -> None:
        """Send attempts that are in its hands."""
        batch = []
        for item in items:
            known = self.told.get(item.shared)
            if known is None:
                known = self.told[item.shared] = len(self.told)
                self.say("shared", known, item.shared)
            batch.append((item.number, known, item.data))
        self.say("run", batch)

    def timed(self, seconds: float) -> None:
        """Learn how long an attempt takes here."""
        known = self.pace_s
        self.pace_s = seconds if known == UNKNOWN_PACE_S else 0.7 * known + 0.3 * seconds
        self.pace_s = max(self.pace_s, 1e-5)

    def say(self, *frame: Any) -> None:
        """Send; a runner that is gone is noticed by its reader."""
        line = self.line
        if line is not None:
            with self._sending, contextlib.suppress(OSError):
                line.send_bytes(pickle.dumps(frame))

    def listen(self, heard: Callable[[Runner, tuple[Any, ...]], None]) -> None:
        """Read to the end of the line."""
        assert self.line is not None
        try:
            while True:
                heard(self, pickle.loads(self.line.recv_bytes()))
        except (OSError, EOFError):
            with self._closing:
                self.line.close()

    def hang_up_soon(self) -> None:
        """It has died: end the line even if that never says so, as of a node without power."""
        if self.line is not None:
            timer = threading.Timer(LINE_OUTLIVES_S, self._hang_up)
            timer.daemon = True
            timer.start()

    def _hang_up(self) -> None:
        # Closing the line here would not wake its reader, nor a writer that waits for room.
        assert self.line is not None
        with (
            contextlib.suppress(OSError),  # it has hung up meanwhile
            self._closing,
            socket.socket(fileno=os.dup(self.line.fileno())) as same,
        ):
            same.shutdown(socket.SHUT_RDWR)


class Hirer(Protocol):
    """Makes runners come, for one shape of attempt."""

    def hire(
        self, runner: Runner, attend: Callable[[Runner], None], tell: Callable[[Any], None]
    ) -> bool:
        """Ask for a runner; False when there is none to be had just now.

        Args:
            runner: gets its `ref` now, and its `line` when it comes.
            attend: called then, on a thread that may be kept for as long as it stays.
            tell: called with the value or `Lost` when its Ray call has ended.
        """
        ...

    def carry(self, item: WorkItem, tell: Callable[[Any], None]) -> Any:
        """Ask for one attempt to be carried out by a Ray task of its own; returns its ref."""
        ...

    def capacity(self) -> int:
        """Runners that may be asked for at once."""
        ...

    def kill(self, runner: Runner) -> None:
        """End a runner by force."""
        ...

    def kill_carried(self, ref: Any) -> None:
        """End by force the Ray call that carries one attempt."""
        ...

    def wanted(self) -> None:
        """There is work for more runners than there are."""
        ...


def settle(results: list[tuple[WorkItem, Any]]) -> None:
    """Hand outcomes (or `Lost`) to those who await them, one visit per event loop. Any thread."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[WorkItem, Any]]] = {}
    for item, result in results:
        by_loop.setdefault(item.loop, []).append((item, result))
    for loop, landed in by_loop.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, landed)


def _settle(landed: list[tuple[WorkItem, Any]]) -> None:
    for item, result in landed:
        if item.ended.done():
            continue  # cancelled
        if isinstance(result, Lost):
            item.ended.set_exception(result.error)
        else:
            item.ended.set_result(result)


def withdrawn() -> Lost:
    """In the place of an outcome that nobody wants any more."""
    return Lost(rx.TaskCancelledError(error_message="withdrawn before it began"))
