"""The processes that a replica works for, as it sees them."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from flyte_ray.core.model import Outcome, OutcomeKind
from flyte_ray.runtime.slots import AttemptKey
from flyte_ray.runtime.wire import pack_outcome

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Caller:
    """One process that sends attempts, as the replica sees it."""

    line: Connection | None
    shared: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    running: dict[int, tuple[AttemptKey, asyncio.Task[None]]] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    done: list[tuple[int, bytes, float]] = field(default_factory=list)
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def say(self, *frame: Any) -> None:
        """Send; a caller that is gone is noticed by its reader."""
        with self._sending:
            try:
                assert self.line is not None, "only callers behind a door have none"
                self.line.send_bytes(pickle.dumps(frame))
            except OSError as error:
                logger.debug("a caller left: %s", error)

    def flush(self) -> None:
        """Say what was done since the last time."""
        done, self.done = self.done, []
        if done:
            self.say("done", done)


class UnreachableCaller(Caller):
    """A caller of one attempt, whose answer is the value of its actor call."""

    __slots__ = ("tell",)
    tell: Callable[[list[tuple[int, bytes]]], object]

    def say(self, *frame: Any) -> None:
        match frame:
            case ("done", results):
                self.tell([(number, outcome) for number, outcome, _ in results])
            case ("dropped", number):
                outcome = Outcome(kind=OutcomeKind.CANCELLED)
                self.tell([(number, pack_outcome(outcome))])
