"""Calls are asked for and adopted many at once; who runs is told so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from flyte_ray.core.calls import Answer, Question
from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.lifecycle import Submitted
from flyte_ray.core.model import ActionPhase, EventKind, Settled
from flyte_ray.engine.action import Action
from flyte_ray.engine.intake import MOST_AT_ONCE, Found, Intake
from flyte_ray.errors import StoreError
from tests.unit.engine.scenes import MemoryBook, action, answer, run_spec


def asked(name: str, run: str = "r1") -> Action:
    question = Question(action_id=ActionId(name), task="env.step")
    made = action(action_id=ActionId(name), question=question)
    return replace(made, spec=replace(made.spec, run=run_spec(name=RunName(run))))


class Messages(MemoryBook):
    """Counts what is sent."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        super().__init__(answers)
        self.asked: list[int] = []
        self.rows: list[int] = []

    def look_up(self, run: str, questions: Sequence[Question]) -> Future[list[Answer | None]]:
        self.asked.append(len(questions))
        return super().look_up(run, questions)

    def record(self, run: str, events: Sequence[object]) -> Future[None]:
        self.rows.append(len(events))
        return super().record(run, events)  # type: ignore[arg-type]


def find(book: MemoryBook, *actions: Action) -> list[Found | BaseException]:
    async def scene() -> list[Found | BaseException]:
        intake = Intake(book)
        return await asyncio.gather(
            *[intake.find(each) for each in actions], return_exceptions=True
        )

    return asyncio.run(scene())


def test_calls_of_one_turn_are_one_question_and_one_acknowledgement() -> None:
    book = Messages({"a1": answer("cache"), "a3": answer("recovered")})
    found = find(book, *[asked(name) for name in ("a1", "a2", "a3")])
    assert (book.asked, book.rows) == ([3], [2])
    assert [type(each) for each in found] == [Settled, Submitted, Settled]
    phases = [each.phase for each in found if isinstance(each, Settled)]
    assert phases == [ActionPhase.SUCCEEDED, ActionPhase.RECOVERED]
    assert [row.kind for row in book.recorded] == [EventKind.CACHE_HIT, EventKind.RECOVERED]


def test_the_first_of_very_many_calls_are_looked_up_before_the_turn_ends() -> None:
    book, seen = Messages({}), []

    async def scene() -> None:
        intake = Intake(book)

        async def find_one(number: int) -> None:
            waiting = asyncio.ensure_future(intake.find(asked(f"a{number}")))
            await asyncio.sleep(0)  # it has asked by the end of the next turn
            await waiting

        async def last() -> None:
            await asyncio.sleep(0)
            seen.extend(book.asked)

        await asyncio.gather(*map(find_one, range(MOST_AT_ONCE + 1)), last())

    asyncio.run(scene())
    assert seen == [MOST_AT_ONCE]
    assert book.asked == [MOST_AT_ONCE, 1]


def test_what_the_book_has_is_not_written_again() -> None:
    book = Messages({"a1": answer("book")})
    assert [type(each) for each in find(book, asked("a1"))] == [Settled]
    assert book.rows == []


def test_what_somebody_else_computes_goes_on_to_wait_for_it() -> None:
    held = replace(answer("held"), ask_again_s=0.1)
    (found,) = find(Messages({"a1": held}), asked("a1"))
    assert found == Submitted(held)


def test_each_run_is_asked_by_itself() -> None:
    book = Messages({})
    find(book, asked("a1"), asked("b1", run="r2"), asked("a2"))
    assert sorted(book.asked) == [1, 2]


def test_very_many_calls_are_several_messages() -> None:
    book = Messages({})
    find(book, *[asked(f"a{n}") for n in range(MOST_AT_ONCE + 1)])
    assert book.asked == [MOST_AT_ONCE, 1]


def test_without_a_question_nothing_is_sent() -> None:
    book = Messages({})
    (found,) = find(book, action())
    assert (found, book.asked) == (Submitted(), [])


def test_a_store_that_is_away_is_told_to_those_whose_answer_it_keeps() -> None:
    book = Messages({"a1": answer("cache")})
    book.refusal = StoreError("away")
    found = find(book, asked("a1"), asked("a2"))
    assert [type(each) for each in found] == [StoreError, Submitted]


def test_who_is_cancelled_takes_nobody_along() -> None:
    async def scene() -> Found:
        intake = Intake(Messages({"a2": answer("cache")}))
        left = asyncio.ensure_future(intake.find(asked("a1")))
        stays = asyncio.ensure_future(intake.find(asked("a2")))
        await asyncio.sleep(0)
        left.cancel()
        return await asyncio.wait_for(stays, 10)

    assert isinstance(asyncio.run(scene()), Settled)
