"""One outcome per action: the first success that arrives stands, later ones change nothing.

A row whose answer was lost comes again. And two attempts can both succeed when one was taken for
lost, say behind a cut network.

The rule: who brings a second one does not hear that it is safe before the first one is. One that
could not be stored does not count: the next one is the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import Event, EventKind
from flyte_ray.engine.memory import Memory


class FirstSuccesses:
    """Tells first successes from later ones. `sift` and `expect` under the lock of the book."""

    def __init__(self, book: Memory) -> None:
        self._book = book
        self._underway: dict[ActionId, Future[None]] = {}
        """First ones on their way to the store."""

    def sift(self, events: Sequence[Event]) -> tuple[list[Event], set[Future[None]]]:
        """The rows without second successes, and what must be stored before those are answered."""
        fresh: dict[int | ActionId, Event] = {}
        first: set[Future[None]] = set()
        for number, event in enumerate(events):
            if event.kind is not EventKind.SUCCEEDED:
                fresh[number] = event
            elif (underway := self._underway.get(event.action_id)) is not None:
                first.add(underway)
            elif not self._stands(event.action_id):
                fresh.setdefault(event.action_id, event)
        return list(fresh.values()), first

    def expect(self, events: Sequence[Event], stored: Future[None]) -> None:
        """These rows are on their way; `stored` ends when they are in the store and the book."""
        names = [event.action_id for event in events if event.kind is EventKind.SUCCEEDED]
        if names:
            self._underway.update(dict.fromkeys(names, stored))
            stored.add_done_callback(lambda _: self._landed(names))

    def _landed(self, names: Sequence[ActionId]) -> None:
        """Any thread: one dict operation each, and the book knows of them by now."""
        for name in names:
            self._underway.pop(name, None)

    def _stands(self, name: ActionId) -> bool:
        known = self._book.get(name)
        return known is not None and known.phase.is_success
