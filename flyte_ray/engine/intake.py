"""Asks the record for calls before they are run, and adopts what it knows: many calls at once.

A fan-out of thousands makes its calls in one turn of the parent's loop. They are asked for together
and those that have an answer are acknowledged together: two messages to the host for up to 2,000
calls. What the answer means is decided by `core/lifecycle`, as everywhere.

An adopted action has a single row: that of its adoption, which says what was asked for, too. Who
stops waiting meanwhile changes nothing for the others; an adoption on its way stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.lifecycle import Adopt, LifecyclePolicy, Submitted, advance, begin
from flyte_ray.core.model import Event, Settled
from flyte_ray.core.noun import noun
from flyte_ray.core.ports import BookKeeper
from flyte_ray.engine import rows
from flyte_ray.engine.action import Action
from flyte_ray.engine.landing import OfLoop, landed

MOST_AT_ONCE = 2_000
"""Calls in one message: of very many, the first are looked up while the parent makes the others."""

Found = Settled | Submitted
"""The end of an action that was adopted; or, of one that is to be run, its first stimulus."""

NOT_ASKED = Submitted()
"""Of an action that the record cannot know."""
_NEW = begin(LifecyclePolicy())


@noun(frozen=True, slots=True)
class _Caller:
    """An action that was asked for, and who waits for what is known of it."""

    action: Action
    question: Question
    told: asyncio.Future[Found]

    def tell(self, found: Found) -> None:
        if not self.told.done():  # cancelled
            self.told.set_result(found)

    def refuse(self, error: BaseException) -> None:
        if not self.told.done():
            self.told.set_exception(error)


class Intake:
    """Asks for the actions of one process. Safe on several event loops."""

    def __init__(self, book: BookKeeper) -> None:
        self._gatherings = OfLoop(lambda loop: _Gathering(book, loop))

    async def find(self, action: Action) -> Found:
        """What the record knows of the action; an adoption is in the store when this returns.

        Raises:
            FencedError: another owner has taken the run over.
            StoreError: the store stayed away.
        """
        if action.question is None:
            return NOT_ASKED
        gathering = self._gatherings.here()
        told: asyncio.Future[Found] = gathering.loop.create_future()
        gathering.add(_Caller(action, action.question, told))
        return await told


class _Gathering:
    """The calls that were made in this turn of one event loop."""

    def __init__(self, book: BookKeeper, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._book = book
        self._callers: list[_Caller] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def add(self, caller: _Caller) -> None:
        """Ask for this one, too, at the end of the turn or with a full message."""
        if not self._callers:
            self.loop.call_soon(self._set_out)
        self._callers.append(caller)
        if len(self._callers) >= MOST_AT_ONCE:
            self._set_out()

    def _set_out(self) -> None:
        callers, self._callers = self._callers, []
        by_run: dict[str, list[_Caller]] = {}
        for caller in callers:
            by_run.setdefault(caller.action.spec.run.name, []).append(caller)
        for run, asking in by_run.items():
            try:
                answers = self._book.look_up(run, [caller.question for caller in asking])
            except Exception as error:  # noqa: BLE001  raised by those who asked
                _refuse(asking, error)
                continue
            task = self.loop.create_task(self._serve(run, asking, answers))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _serve(
        self, run: str, callers: Sequence[_Caller], asked: Future[list[Answer | None]]
    ) -> None:
        waiting = callers
        try:
            answers = await landed(asked)
            adopted, events = self._adopted(callers, answers)
            waiting = [caller for caller, _ in adopted]
            if events:
                await landed(self._book.record(run, events))
        except BaseException as error:  # noqa: BLE001  raised by those who asked
            _refuse(waiting, error)
            return
        for caller, settled in adopted:
            caller.tell(settled)

    def _adopted(
        self, callers: Sequence[_Caller], answers: Sequence[Answer | None]
    ) -> tuple[list[tuple[_Caller, Settled]], list[Event]]:
        """Who adopts what, and the rows that say so; all others are told to run."""
        adopted: list[tuple[_Caller, Settled]] = []
        events: list[Event] = []
        for caller, answer in zip(callers, answers, strict=True):
            submitted = Submitted(answer)
            _, commands = advance(_NEW, submitted) if answer is not None else (_NEW, ())
            match commands:
                case (Adopt(answer=known, phase=phase),):
                    adopted.append((caller, Settled(phase=phase, outputs=known.outputs)))
                    if known.source != "book":  # the book has it already
                        action = caller.action
                        events.append(rows.adopted(action.spec, known, phase, action.attrs))
                case _:
                    caller.tell(submitted)
        return adopted, events


def _refuse(callers: Sequence[_Caller], error: BaseException) -> None:
    for caller in callers:
        caller.refuse(error)
