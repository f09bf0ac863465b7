"""When the next segment is written: the rules of the group commit, apart from the writing.

Idle, an event is written at once. Under load events wait a little so that many share a segment. How
long is right depends on how many actions are under way: for one of a thousand it does not matter
when its success is acknowledged, a lone chain feels every millisecond. So

    gap = other leaves under way * gap_per_leaf      (at least `gap_s` while a write is in flight)

counted from the last write, where a leaf is an action that is submitted, has not ended and has no
child under way (a parent that waits is not held up by an acknowledgement it does not wait for).

Up to `window` segments are in flight. Rule of the window: slot s may be written only if
s < lowest slot not known to be stored + window; the fences of `ownership` rest on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flyte_ray.core.ids import ActionId
from flyte_ray.core.model import Event, EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.store.blobs import is_local

WIDEST_WINDOW = 4
"""No writer of any release may have more slots in flight: openers fence this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a ledger groups events into segments."""

    window: int = 1
    """Segments in flight at once, at most `WIDEST_WINDOW`."""
    gap_s: float = 0.0
    """Shortest time between two writes while one is in flight."""
    gap_per_leaf_s: float = 0.0001
    """See the top of this room."""
    longest_gap_s: float = 0.02
    hedge_s: float | None = None
    """A write slower than this is sent a second time with the same bytes; None: never."""
    note_s: float = 0.4
    """How long an event that nobody waits for may stay in memory."""
    most_events: int = 5000
    """A segment takes no more events once it has this many."""
    most_bytes: int = 4 * 1024 * 1024
    """A segment takes no more events once it is this large."""
    patience_s: float = 60.0
    """How long a store that is away is waited for before the book is given up."""

    def __post_init__(self) -> None:
        if not 1 <= self.window <= WIDEST_WINDOW:
            raise ValueError(f"window must be 1 to {WIDEST_WINDOW}, not {self.window}")


LOCAL = Pace()
REMOTE = Pace(window=4, gap_s=0.01, gap_per_leaf_s=0.0005, longest_gap_s=0.05, hedge_s=0.1)


def pace_for(blobs: Blobs) -> Pace:
    """The pace that was measured to suit this kind of store."""
    return LOCAL if is_local(blobs) else REMOTE


class SlotWindow:
    """Which slots may be written to now."""

    def __init__(self, first: int, width: int) -> None:
        self._next = first
        self._lowest = first  # every slot below is stored
        self._stored: set[int] = set()
        self._width = width

    @property
    def stored_below(self) -> int:
        """Every slot below this one is stored."""
        return self._lowest

    @property
    def is_open(self) -> bool:
        """True when another slot may be taken."""
        return self._next < self._lowest + self._width

    def take(self) -> int:
        """The next slot; only while the window is open."""
        slot = self._next
        self._next += 1
        return slot

    def settle(self, slot: int) -> None:
        """The slot holds a segment for good."""
        self._stored.add(slot)
        while self._lowest in self._stored:
            self._stored.discard(self._lowest)
            self._lowest += 1


_ENDS = frozenset(
    {
        EventKind.SUCCEEDED,
        EventKind.FAILED,
        EventKind.ABORTED,
        EventKind.TIMED_OUT,
    }
)
_ADOPTIONS = frozenset({EventKind.RECOVERED, EventKind.CACHE_HIT})


class LeavesUnderWay:
    """Counts the actions under way that wait for no child, from the events that pass by."""

    def __init__(self) -> None:
        self._parents: dict[ActionId, ActionId | None] = {}
        self._children: dict[ActionId, int] = {}
        self._waiting_parents = 0
        self._ended_first: set[ActionId] = set()

    @property
    def count(self) -> int:
        """How many leaves there are now."""
        return len(self._parents) - self._waiting_parents

    def see(self, events: Iterable[Event]) -> None:
        """Follow what the events say."""
        for event in events:
            if event.kind is EventKind.SUBMITTED:
                self._begin(event.action_id, event.parent_id)
            elif event.kind in _ENDS:
                self._end(event.action_id)
            elif event.kind in _ADOPTIONS:
                self._adopt(event.action_id)

    def _begin(self, action: ActionId, parent: ActionId | None) -> None:
        if action in self._ended_first:
            # A worker's success may overtake the note that its parent submitted the call.
            self._ended_first.discard(action)
            return
        if action in self._parents:
            return
        self._parents[action] = parent
        if self._children.get(action):
            self._waiting_parents += 1
        if parent is not None:
            before = self._children.get(parent, 0)
            self._children[parent] = before + 1
            if before == 0 and parent in self._parents:
                self._waiting_parents += 1

    def _adopt(self, action: ActionId) -> None:
        # Mostly the only row of its action, which never was under way.
        if action in self._parents:
            self._end(action)

    def _end(self, action: ActionId) -> None:
        if action not in self._parents:
            self._ended_first.add(action)
            return
        parent = self._parents.pop(action)
        if self._children.get(action):
            self._waiting_parents -= 1
        if parent is None:
            return
        left = self._children[parent] - 1
        if left:
            self._children[parent] = left
        else:
            del self._children[parent]
            if parent in self._parents:
                self._waiting_parents -= 1
