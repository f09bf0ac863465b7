"""Conditions of one attempt: asked, waited for, and answered from the record when replayed.

A condition is an action like any other: named by its parent's scope and its own name, PAUSED while
it waits, with its answer as output. What is asked lies in the run's mailbox as a put-once letter,
so that anybody with access to the store can answer (`client/signal`), and so that its time limit
counts from when it was asked first, whatever restarts in between. The answer is a put-once letter
too: of two people the first one counts.

Waiting holds no CPU: how a parent rests is handed in (`rest`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_ray import errors
from flyte_ray.core.calls import Answer, AttemptSpec, Question
from flyte_ray.core.condition import ANSWERED, ASKED, ConditionWish, checked_answer
from flyte_ray.core.context import ActionContext, current
from flyte_ray.core.digest import digest_json
from flyte_ray.core.failure import from_exception
from flyte_ray.core.ids import ActionId, child_id
from flyte_ray.core.model import ActionPhase, Event, EventKind, utc_now_us
from flyte_ray.core.payload import Payload
from flyte_ray.core.ports import Blobs, BookKeeper, Codecs, ValueStore
from flyte_ray.engine.landing import landed
from flyte_ray.store.mailbox import Letter, Mailbox

logger = logging.getLogger(__name__)

FIRST_LOOK_S = 0.25
LONGEST_REST_S = 2.0
"""Between two looks for an answer; each is one GET."""

Rest = Callable[[float], Awaitable[None]]
"""Lets time pass without holding what others could use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTools:
    """What conditions need of their surroundings."""

    book: BookKeeper
    codecs: Codecs
    values: ValueStore
    blobs: Blobs
    rest: Rest


class ConditionDesk:
    """Asks for the conditions of one attempt."""

    def __init__(
        self, spec: AttemptSpec, tools: ConditionTools, sequences: Callable[..., int]
    ) -> None:
        self.spec = spec
        self.tools = tools
        self._next = sequences
        self.mailbox = Mailbox(tools.blobs, spec.run.name)

    async def open(self, wish: ConditionWish) -> ConditionStep:
        """Ask; returns when everybody can see the question, or knows the answer already."""
        here = current()
        assert here is not None, "the caller checks that a task is running"
        identity = digest_json(["condition", wish.name])
        group = here.group or ""
        number = self._next(here.scope, identity, identity, group)
        action_id = child_id(here.scope, identity, identity, group, number)
        step = ConditionStep(self, here, wish, action_id)
        if self.spec.replay:
            question = Question(action_id=action_id, task=wish.name)
            (step.known,) = await landed(self.tools.book.look_up(self.spec.run.name, [question]))
            if step.known is not None:
                await step.adopt(step.known)
                return step
        await step.ask()
        return step


class ConditionStep:
    """One condition of a running task."""

    def __init__(
        self, desk: ConditionDesk, here: ActionContext, wish: ConditionWish, action_id: ActionId
    ) -> None:
        self._desk = desk
        self._here = here
        self._wish = wish
        self.action_id = action_id
        self.known: Answer | None = None
        self.is_new = False
        """True for the first who asked, in whatever attempt."""
        self._asked_us = 0
        self._is_away = False

    async def ask(self) -> None:
        """Put the question where all can see it."""
        spec = self._desk.spec
        body = {**self._wish.to_json(), "task": spec.task, "parent": spec.action_id}
        body["action"] = self.action_id
        mailbox = self._desk.mailbox
        self.is_new = await asyncio.to_thread(mailbox.post, ASKED, self.action_id, body)
        asked = await asyncio.to_thread(mailbox.letter, ASKED, self.action_id)
        self._asked_us = asked.at_us if asked is not None else utc_now_us()
        await landed(self._desk.tools.book.record(spec.run.name, [self._row(ActionPhase.PAUSED)]))
        if self.is_new:
            logger.warning(
                "waits for an answer to %r: flyte-ray signal %s %s VALUE",
                self._wish.prompt,
                spec.run.name,
                self._wish.name,
            )

    async def wait(self) -> Any:
        """The answer, once somebody gave it.

        Raises:
            ConditionTimedoutError: nobody did in time.
        """
        if self.known is not None:
            return self._decoded(self.known.outputs)
        try:
            letter = await self._answered()
        except asyncio.CancelledError:
            self._desk.tools.book.note(self._desk.spec.run.name, [self._row(ActionPhase.ABORTED)])
            raise
        if letter is None:
            error = self._too_late()
            text = json.dumps(from_exception(error).to_dict())
            await self._record(self._row(ActionPhase.TIMED_OUT, error=text))
            raise error
        value = checked_answer(self._wish, letter.body["value"])
        outputs = self._encoded(value)
        row = self._row(
            ActionPhase.SUCCEEDED, outputs=outputs.to_json(), by=str(letter.body.get("by", ""))
        )
        await self._record(row)
        self.known = Answer(
            outputs=outputs,
            source="book",
            source_run=self._desk.spec.run.name,
            source_action=self.action_id,
        )
        return value

    async def _answered(self) -> Letter | None:
        """The letter with the answer; None when the time is over."""
        pause_s = FIRST_LOOK_S
        limit_s = self._wish.timeout_s
        while True:
            letter = await asyncio.to_thread(self._looked)
            if letter is not None:
                return letter
            if limit_s is not None:
                left_s = limit_s - (utc_now_us() - self._asked_us) / 1e6
                if left_s <= 0 and not self._is_away:
                    return None
                pause_s = min(pause_s, max(left_s, FIRST_LOOK_S))
            await self._desk.tools.rest(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_REST_S)

    def _looked(self) -> Letter | None:
        """The letter, if there is one to be seen: a store that is away is asked again later."""
        try:
            letter = self._desk.mailbox.letter(ANSWERED, self.action_id)
        except errors.StoreError as error:
            if not self._is_away:
                logger.warning("cannot look for an answer to %r: %s", self._wish.prompt, error)
            self._is_away = True
            return None
        self._is_away = False
        return letter

    def _too_late(self) -> errors.ConditionTimedoutError:
        return errors.ConditionTimedoutError(
            f"condition {self._wish.name!r} of task {self._desk.spec.task!r}: nobody answered "
            f"{self._wish.prompt!r} within {self._wish.timeout_s:g} s"
        )

    async def adopt(self, answer: Answer) -> None:
        """Take an answer of the run that is recovered into this one's book."""
        if answer.source == "recovered":
            origin = f"{answer.source_run}/{answer.source_action}"
            row = self._row(
                ActionPhase.RECOVERED, outputs=answer.outputs.to_json(), recovered_from=origin
            )
            await self._record(row)

    async def _record(self, row: Event) -> None:
        await landed(self._desk.tools.book.record(self._desk.spec.run.name, [row]))

    def _encoded(self, value: Any) -> Payload:
        tools = self._desk.tools
        owner = f"condition {self._wish.name!r}, answer"
        return tools.codecs.encode(
            {"o0": value}, self._types, tools.values, owner, are_inputs=False
        )

    def _decoded(self, outputs: Payload) -> Any:
        tools = self._desk.tools
        return tools.codecs.decode(outputs, self._types, tools.values)["o0"]

    @property
    def _types(self) -> Mapping[str, Any]:
        return {"o0": self._wish.data_type}

    def _row(
        self,
        phase: ActionPhase,
        *,
        outputs: str | None = None,
        error: str | None = None,
        **attrs: str,
    ) -> Event:
        spec, now = self._desk.spec, utc_now_us()
        is_end = phase is not ActionPhase.PAUSED
        return Event(
            kind=EventKind.CONDITION,
            at_us=now,
            action_id=self.action_id,
            parent_id=spec.action_id,
            attempt=spec.attempt,
            task=self._wish.name,
            phase=phase,
            outputs=outputs,
            error=error,
            attrs={
                **self._wish.to_json(),
                "started_us": self._asked_us or now,
                **({"ended_us": now} if is_end else {}),
                **({"group": self._here.group} if self._here.group else {}),
                **attrs,
            },
        )
