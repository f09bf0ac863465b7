"""Answers to conditions: which questions a run asks, and the letters that answer them.

Works wherever the store can be reached, whether or not the run's host can: question and answer are
put-once letters in the run's mailbox. Of two answers the first one counts.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import Any

from flyte_ray import errors
from flyte_ray.client.dual import blocking, classwide
from flyte_ray.client.session import current_session
from flyte_ray.core.condition import ANSWERED, ASKED, ConditionWish, checked_answer
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.ports import Blobs
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.mailbox import Letter, Mailbox


class Condition:
    """A question of a run, to look at and to answer."""

    def __init__(self, blobs: Blobs, run_name: RunName, asked: Letter) -> None:
        self._blobs = blobs
        self.run_name = run_name
        self._asked = asked
        self._wish = ConditionWish.from_json(asked.body)
        self._catalog = Catalog(blobs)

    @property
    def name(self) -> str:
        """What people answer to."""
        return self._wish.name

    @property
    def action_name(self) -> str:
        """The id of the condition's action."""
        return self._asked.name

    @property
    def task_name(self) -> str:
        """The task that asks."""
        return str(self._asked.body.get("task", ""))

    @property
    def prompt(self) -> str:
        """The question."""
        return self._wish.prompt

    @property
    def description(self) -> str:
        """More about it."""
        return self._wish.description

    @property
    def expected_type(self) -> type:
        """Of the answer: bool, int, float or str."""
        return self._wish.data_type

    @property
    def answer(self) -> Any:
        """The answer that was given; None while there is none."""
        letter = Mailbox(self._blobs, self.run_name).letter(ANSWERED, self.action_name)
        return None if letter is None else letter.body["value"]

    @property
    def phase(self) -> ActionPhase:
        """PAUSED while it waits for an answer, or for its task to take it in."""
        actions = self._catalog.actions(self.run_name)
        record = next((a for a in actions.values() if a.action_id == self.action_name), None)
        return ActionPhase.PAUSED if record is None else record.phase

    @classwide
    def listall(
        cls: type[Condition], /, run_name: str, action_name: str | None = None, limit: int = 100
    ) -> list[Condition]:
        """The questions of a run, oldest first; those of one asking action, if it is named.

        Raises:
            RunNotFoundError: there is no such run in the store.
        """
        blobs = current_session().blobs()
        run = Catalog(blobs).spec(run_name).name
        letters = sorted(Mailbox(blobs, run).letters(ASKED), key=lambda letter: letter.at_us)
        found = [cls(blobs, run, letter) for letter in letters]
        if action_name is not None:
            parents = (action_name,)
            found = [each for each in found if each._asked.body.get("parent") in parents]
        return found[:limit]

    @classwide
    def get(
        cls: type[Condition], /, name: str, *, run_name: str, action_name: str | None = None
    ) -> Condition:
        """The question of that name or action id; the first that waits, if there are several.

        Raises:
            RunNotFoundError: there is no such run in the store.
            ConditionNotFoundError: the run asks nothing of that name.
        """
        every: Sequence[Condition] = Condition.listall(run_name, action_name, limit=1_000_000)
        found = [each for each in every if name in (each.name, each.action_name)]
        if not found:
            known = ", ".join(sorted({repr(each.name) for each in every})) or "nothing"
            raise errors.ConditionNotFoundError(
                f"run {run_name} asks no {name!r}; it asks {known}. A condition can be answered "
                "from when its task has asked."
            )
        waiting = [each for each in found if each.answer is None]
        return waiting[0] if waiting else found[-1]

    @blocking
    def signal(self, value: Any = True) -> None:
        """Answer. The task goes on within two seconds.

        Raises:
            TypeError: the answer is of another kind than was asked for.
            ConditionFailedError: it was answered before, or its run has ended.
        """
        answer = checked_answer(self._wish, value)
        final = self._catalog.run(self.run_name)
        if final.phase.is_terminal:
            raise errors.ConditionFailedError(
                f"run {self.run_name} has ended ({final.phase.value}): nobody waits for "
                f"{self.name!r} any more"
            )
        body = {"value": answer, "by": _user()}
        if not Mailbox(self._blobs, self.run_name).post(ANSWERED, self.action_name, body):
            raise errors.ConditionFailedError(
                f"condition {self.name!r} of run {self.run_name} was answered before, with "
                f"{self.answer!r}: the first answer stands"
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
