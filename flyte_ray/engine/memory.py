"""What a host remembers of its run: per action just what answers questions and moves counters.

The full story of an action is folded from the book by readers (`store/fold`); the host takes
thousands of rows a second and needs of each action only where it stands and what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import ActionPhase, Event, EventKind
from flyte_ray.core.noun import noun

ADOPTING = frozenset({EventKind.RECOVERED, EventKind.CACHE_HIT})
"""Rows of actions that were adopted; where nothing was submitted they say what was asked for."""
SILENT = frozenset({EventKind.EPOCH, EventKind.FENCE, EventKind.RUN_END})
"""Rows of these kinds say nothing about an action."""


@noun(frozen=True, slots=True, kw_only=True)
class Known:
    """One action, in short."""

    action_id: ActionId
    parent_id: ActionId | None
    task: str
    is_trace: bool
    phase: ActionPhase
    cached: bool = False
    attempt: int = 0
    """The latest attempt that the book knows of."""
    queued_us: int = 0
    """Of a success: when its attempt was submitted."""
    outputs: str | None = None
    """`Payload.to_json` of a success."""
    error: str | None = None
    """JSON of `ErrorInfo`."""
    run: RunName | None = None
    """Where it stands in the record, of actions of an earlier run."""
    identity: str = ""
    """Of its task: the code it was made with. Of actions of an earlier run only."""

    @property
    def is_final_error(self) -> bool:
        """True for a failure that would not go away by trying again."""
        return self.error is not None and not json.loads(self.error).get("recoverable", True)

    @property
    def error_message(self) -> str:
        """What went wrong, for people."""
        if self.error is None:
            return ""
        error = json.loads(self.error)
        return f"{error.get('code', '')}: {error.get('message', '')}"


class Memory:
    """The actions of one run by id. Not thread-safe: its host locks."""

    def __init__(self, rows: Iterable[Event] = ()) -> None:
        self._known: dict[ActionId, Known] = {}
        for row in rows:
            self.apply(row)

    def get(self, action_id: ActionId) -> Known | None:
        """The action, if the book has it."""
        return self._known.get(action_id)

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._known.values()))

    def know(self, known: Known) -> None:
        """Take an action in as it stands."""
        self._known[known.action_id] = known

    def clear(self) -> None:
        """Forget everything."""
        self._known = {}

    @classmethod
    def successes(cls, rows: Iterable[Event], run: RunName) -> Memory:
        """A memory of what succeeded, for another run: this is where it stands in the record."""
        identities: dict[ActionId, str] = {}
        everything, kept = cls(), cls()
        for row in rows:
            everything.apply(row)
            if row.kind is EventKind.SUBMITTED or (
                row.kind in ADOPTING and row.action_id not in identities
            ):
                identities[row.action_id] = row.attrs.get("identity", "")
        for known in everything:
            if known.phase.is_success and known.outputs is not None:
                identity = identities.get(known.action_id, "")
                kept._known[known.action_id] = replace(known, run=run, identity=identity)
        return kept

    def fill_in(self, earlier: Memory, leaving_out: Collection[str]) -> None:
        """Take over successes of an earlier run that are missing here."""
        for known in earlier:
            mine = self._known.get(known.action_id)
            is_wanted = mine is None or not mine.phase.is_success
            if is_wanted and known.phase.is_success and known.action_id not in leaving_out:
                self._known[known.action_id] = known

    def apply(self, event: Event) -> Known | None:
        """Take a row in; the action as it now stands, or None where nothing changed."""
        if event.kind in SILENT or event.phase is None:
            return None
        before = self._known.get(event.action_id)
        if before is not None and _comes_late(event, before):
            return None
        # Made in one go: `replace` costs as much as all the rest, and every row comes through here.
        first = before or event
        after = Known(
            action_id=event.action_id,
            parent_id=first.parent_id,
            task=first.task,
            is_trace=before.is_trace if before else event.kind is EventKind.TRACE,
            phase=event.phase,
            cached=event.kind is EventKind.CACHE_HIT,
            attempt=max(before.attempt, event.attempt) if before else event.attempt,
            queued_us=event.queued_us,
            outputs=event.outputs,
            error=event.error if event.phase.is_terminal else None,
            run=before.run if before else None,
        )
        self._known[event.action_id] = after
        return after


def _comes_late(event: Event, known: Known) -> bool:
    """True for a row that was overtaken by the end of what it begins."""
    if event.kind is EventKind.STARTED:
        return known.phase.is_terminal
    # A worker's success may be faster than the note that its parent submitted the call.
    return (
        event.kind is EventKind.SUBMITTED
        and known.phase.is_success
        and event.at_us <= known.queued_us
    )
