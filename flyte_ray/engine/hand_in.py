"""Hands rows to the book that somebody waits for: those of one turn of a loop together.

The outcomes of a batch land in one turn of their parent's loop. Handed in one by one, the first
would set out alone and each would pay for a message, a future and a visit of its own.

Cancelling who waits changes nothing: the rows are on their way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future

from flyte_ray.core.model import Event
from flyte_ray.core.ports import BookKeeper
from flyte_ray.engine.landing import OfLoop

TOGETHER = 500
"""Rows that wait for the end of the turn; of very many the host takes the first ones meanwhile."""


class HandIn:
    """Rows of the actions of one process. Safe on several event loops."""

    def __init__(self, book: BookKeeper) -> None:
        self._trays = OfLoop(lambda loop: _Tray(book, loop))

    def record(self, run: str, events: Sequence[Event]) -> asyncio.Future[None]:
        """Hand rows in; the future ends when the store has them.

        It raises:
            FencedError: another owner has taken the run over.
            StoreError: the store stayed away.
        """
        return self._trays.here().put(run, events)


class _Tray:
    """What was handed in during this turn of one event loop."""

    def __init__(self, book: BookKeeper, loop: asyncio.AbstractEventLoop) -> None:
        self._book = book
        self._loop = loop
        self._rows: dict[str, list[Event]] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def put(self, run: str, events: Sequence[Event]) -> asyncio.Future[None]:
        """Ends when the store has the rows."""
        if not self._rows:
            self._loop.call_soon(self._set_out)
        stored: asyncio.Future[None] = self._loop.create_future()
        self._rows.setdefault(run, []).extend(events)
        waiting = self._waiting.setdefault(run, [])
        waiting.append(stored)
        if len(waiting) >= TOGETHER:
            self._set_out()
        return stored

    def _set_out(self) -> None:
        rows, self._rows = self._rows, {}
        waiting, self._waiting = self._waiting, {}
        for run, events in rows.items():
            try:
                landing = self._book.record(run, events)
            except Exception as error:  # noqa: BLE001  raised by those who wait
                _tell(waiting[run], error)
                continue
            if landing.done():
                _tell(waiting[run], landing.exception())
            else:
                self._expect(landing, waiting[run])

    def _expect(self, landing: Future[None], waiting: list[asyncio.Future[None]]) -> None:
        def landed(done: Future[None]) -> None:
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, waiting, done.exception())

        landing.add_done_callback(landed)


def _tell(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for stored in waiting:
        if stored.done():
            continue  # cancelled
        if error is not None:
            stored.set_exception(error)
        else:
            stored.set_result(None)
