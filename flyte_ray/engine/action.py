"""One action to be driven: what is asked for, and what is written about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from flyte_ray.core.callee import Callee
from flyte_ray.core.calls import AttemptSpec, Question
from flyte_ray.core.noun import noun


@noun(frozen=True, slots=True, kw_only=True)
class Action:
    """A call that has its name."""

    spec: AttemptSpec
    """Its first attempt."""
    task: Callee | None
    """The live task object, for executors in this process."""
    question: Question | None = None
    """What to ask the record first; None when there can be no answer."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """The attributes of its first row."""

    def resumed(self, attempts: int) -> Action:
        """The same after a crash: whatever it asked for may already stand in the book.

        Args:
            attempts: how many had begun by then; the next one is numbered after them.
        """
        spec = replace(self.spec, replay=True, attempt=attempts + 1)
        question = self.question
        if question is None:
            question = Question(action_id=spec.action_id, task=spec.task)
        # A root is never adopted from the run that it recovers: that one's had its own inputs.
        adopt = question.adopt and spec.parent_id is not None
        return replace(self, spec=spec, question=replace(question, replay=True, adopt=adopt))
