"""Sends the attempts of one shape to runners, several to one runner where they are short.

A Ray task costs more than a short attempt does. So a caller does not make a Ray task of every
attempt: it asks Ray for runners, as many as the cluster can carry at once, and a runner that comes
works off attempts one after another until there are none left, or the caller's own attempt ends.
Ray still decides where and when: a runner holds the resources of the shape, one attempt at a time.

Attempts wait here, not at a runner: one is given more than one at a time only when they turn out
to be short, and gives back what it has not begun when one takes long after all. A runner that dies
fails the attempt that it was at; what it had not begun goes to another.

Where a runner cannot reach the caller (another node behind a firewall), each Ray task carries one
attempt with it, and its outcome home.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import weakref
from collections import deque
from functools import partial
from typing import Any

from ray import exceptions as rx

from flyte_ray.core.calls import AttemptSpec
from flyte_ray.runtime.carried import Carried
from flyte_ray.runtime.runner_link import (
    UNKNOWN_PACE_S,
    Hirer,
    Lost,
    Runner,
    WorkItem,
    settle,
    withdrawn,
)

AT_ONCE = 2
"""Runners that are asked for the moment there is work."""
MORE_AFTER_S = 0.01
"""By then short attempts are done; for what is left as many come as the cluster can carry."""
LOOK_AGAIN_S = 2.0
"""While attempts wait: the cluster may have grown."""
GIVEN_TOGETHER = 256
"""Attempts of one turn that share frames; those of a larger fan-out begin before its turn ends."""
UNREACHABLE = b"unreachable"
"""What a runner's Ray task returns when it did not get through to the caller's door."""


class Dispatch:
    """The attempts of one shape that this process has submitted. Thread-safe."""

    def __init__(self, hirer: Hirer, *, carries: bool = False, keeps: bool = False) -> None:
        """Begin with nothing to do.

        Args:
            hirer: makes runners come.
            carries: do not ask for any: give every attempt a Ray task.
            keeps: runners belong to a pool, and stay when there is nothing to do.
        """
        self._hirer = hirer
        self._carries = carries
        self._keeps = keeps
        self._lock = threading.RLock()
        self._queue: deque[WorkItem] = deque()
        self._runners: list[Runner] = []
        self._carried = Carried(hirer)
        self._numbers = itertools.count(1)
        self._submitted = 0
        self._gathers_on: asyncio.AbstractEventLoop | None = None
        self._more_due: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._is_retired = False

    def submit(self, spec: AttemptSpec, shared: tuple[bytes, bytes], data: bytes) -> WorkItem:
        """Take an attempt; its outcome's bytes land in `.ended`. Called on the waiting loop."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[bytes] = loop.create_future()
        item = WorkItem(spec=spec, shared=shared, data=data, loop=loop, ended=ended)
        if self._carries:
            self._carry(item)
            return item
        with self._lock:
            self._queue.append(item)
            self._submitted += 1
            if loop is not self._gathers_on:  # another one may never come to its next turn
                self._gathers_on = loop
                loop.call_soon(self._give_out, loop)
            elif self._submitted >= GIVEN_TOGETHER:
                self._give_out(loop)
        return item

    def withdraw(self, item: WorkItem) -> None:
        """Stop an attempt softly: it will end."""
        with self._lock:
            if item in self._queue:
                self._queue.remove(item)
                settle([(item, withdrawn())])
                return
            runner = item.runner
            if runner is None:
                self._carried.stop(item)
                return
            runner.say("cancel", item.number)
            if item.number not in runner.begun():
                # Not begun, as far as one can tell: it is dropped there, and nobody waits for that.
                runner.take_back(item.number)
                settle([(item, withdrawn())])

    def kill(self, item: WorkItem) -> None:
        """End by force whoever is at the attempt."""
        runner = item.runner
        if runner is not None:
            self._hirer.kill(runner)
        else:
            self._carried.kill(item)

    def fail(self, error: BaseException) -> None:
        """No runner will come: whatever waits for one has failed."""
        with self._lock:
            waiting, lost = list(self._queue), Lost(error)
            self._queue.clear()
        settle([(item, lost) for item in waiting])

    def more(self) -> None:
        """More runners can be had than before."""
        with self._lock:
            self._hire(self._hirer.capacity())
            if self._keeps:
                self._spread()

    def load(self) -> tuple[int, int, float]:
        """Attempts in runners' hands, attempts that wait, and seconds that one takes."""
        with self._lock:
            in_hand = sum(len(runner.in_hand) for runner in self._runners)
            pace_s = min((runner.pace_s for runner in self._runners), default=UNKNOWN_PACE_S)
            return in_hand, len(self._queue), pace_s

    def retire(self) -> None:
        """The attempt whose children these were has ended: let the runners go."""
        with self._lock:
            self._is_retired = True
            for runner in self._runners:
                if runner.is_free:
                    self._let_go(runner)

    # ---- what runners say

    def _attend(self, runner: Runner) -> None:
        """A runner that was asked for has come. Stays with it until it hangs up."""
        with self._lock:
            runner.pace_s = min((other.pace_s for other in self._runners), default=runner.pace_s)
            self._give_or_let_go(runner)
        runner.listen(self._heard)
        with self._lock:
            runner.has_hung_up = True
        self._over(runner)

    def _heard(self, runner: Runner, frame: tuple[Any, ...]) -> None:
        match frame:
            case ("done", results):
                self._done(runner, results)
            case ("back", numbers):
                self._back(runner, numbers)
            case ("dropped", number):
                self._dropped(runner, number)
            case (word, *numbers):
                with self._lock:
                    self._told(runner, word, numbers)

    def _told(self, runner: Runner, word: str, numbers: list[int]) -> None:
        if word == "waiting":
            runner.is_waiting = True
            self._hire(self._hirer.capacity())
        elif word == "lent":
            runner.lent.update(number for number in numbers if number in runner.in_hand)
            self._assign(runner)
        elif word == "idle" and runner.is_free:
            self._give_or_let_go(runner, is_idle=True)
        elif word == "leaving":
            runner.is_leaving = True

    def _dropped(self, runner: Runner, number: int) -> None:
        with self._lock:
            item = runner.take_back(number)
            self._give_or_let_go(runner)
        if item is not None:
            settle([(item, withdrawn())])

    def _done(self, runner: Runner, results: list[tuple[int, bytes, float]]) -> None:
        landed = []
        with self._lock:
            runner.is_waiting = False
            for number, outcome, seconds in results:
                item = runner.take_back(number)
                runner.timed(seconds)
                if item is not None:
                    landed.append((item, outcome))
            self._give_or_let_go(runner)
        settle(landed)

    def _back(self, runner: Runner, numbers: list[int]) -> None:
        with self._lock:
            runner.pace_s = max(runner.pace_s, 0.1)
            returned = [runner.take_back(number) for number in numbers]
            self._requeue([item for item in returned if item is not None])
            for other in self._runners:
                self._assign(other)
            self._hire(self._hirer.capacity())

    def _give_out(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._submitted, self._gathers_on = 0, None
            here = [runner for runner in self._runners if runner.has_a_slot]
            share = -(-len(self._queue) // max(1, len(here)))
            while self._queue and here:
                self._assign(min(here, key=Runner.burden), at_most=share)
                here = [runner for runner in here if runner.has_a_slot]
            if self._queue:
                self._hire(AT_ONCE)
                self._ask_for_more_soon(loop, MORE_AFTER_S)

    # ---- giving out (all under the lock)

    def _give_or_let_go(self, runner: Runner, *, is_idle: bool = False) -> None:
        self._assign(runner)
        if not runner.is_free or self._keeps:
            return
        others = any(other.is_free for other in self._runners if other is not runner)
        if self._is_retired or is_idle or others:
            self._let_go(runner)

    def _let_go(self, runner: Runner) -> None:
        runner.is_leaving = True
        runner.say("end")

    def _assign(self, runner: Runner, at_most: int = sys.maxsize) -> None:
        if not self._queue or runner.last_word is not None:
            return
        serving = sum(1 for each in self._runners if each.line is not None and each.is_serving)
        room = min(at_most, runner.room(len(self._queue) // (2 * max(1, serving))))
        while self._queue and room > 0:
            batch = runner.take(self._queue, room, self._numbers)
            runner.give(batch)
            room -= len(batch)
            if not self._keeps:
                return  # a runner listens between attempts only; a replica always does

    def _requeue(self, items: list[WorkItem]) -> None:
        for item in items:
            item.runner = None
        self._queue.extendleft(reversed(items))

    # ---- asking for runners

    def _hire(self, at_most: int) -> None:
        at_most = min(at_most, self._hirer.capacity())
        serving = [runner for runner in self._runners if runner.is_serving]
        coming = sum(1 for runner in serving if runner.line is None)
        missing = len(self._queue) - coming
        if missing > 0:
            self._hirer.wanted()
        self._engage(min(at_most - len(serving), missing))

    def _engage(self, count: int) -> None:
        for _ in range(count):
            runner = Runner()
            if self._hirer.hire(runner, self._attend, partial(self._ended, runner)):
                self._runners.append(runner)

    def _spread(self) -> None:
        """Deal with as many replicas as there are calls, even if fewer have slots for all."""
        serving = [runner for runner in self._runners if runner.is_serving]
        in_hand = sum(len(runner.in_hand) for runner in serving)
        self._engage(min(self._hirer.capacity(), in_hand) - len(serving))

    def _ask_for_more_soon(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        if loop not in self._more_due:  # the timer of one that was closed never comes
            self._more_due.add(loop)
            loop.call_later(delay_s, self._more, loop)

    def _more(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._more_due.discard(loop)
            if self._queue:
                self._hire(self._hirer.capacity())
                self._ask_for_more_soon(loop, LOOK_AGAIN_S)

    # ---- how runners end

    def _ended(self, runner: Runner, word: Any) -> None:
        """The Ray call of a runner has ended: its value, or why there is none."""
        if isinstance(word, Lost) and not runner.has_hung_up:
            runner.hang_up_soon()  # not under the lock: a writer who waits for it may hold that
        with self._lock:
            runner.last_word = word
            is_over = runner.line is None or runner.has_hung_up
        if is_over:
            self._over(runner)

    def _over(self, runner: Runner) -> None:
        """Once line and Ray call have both ended, nothing more comes from it: settle its rest."""
        landed: list[tuple[WorkItem, Any]] = []
        with self._lock:
            if runner.last_word is None or runner not in self._runners:
                return
            self._runners.remove(runner)
            word, left = runner.last_word, runner.in_hand
            if word == UNREACHABLE:
                self._carries = True
            elif isinstance(word, Lost):
                landed = self._blamed(runner, word)
            else:
                landed = [(left.pop(number), data) for number, data in word if number in left]
            self._requeue(list(left.values()))
            if self._carries:
                while self._queue:
                    self._carry(self._queue.popleft())
            self._hire(self._hirer.capacity())
        settle(landed)

    def _blamed(self, runner: Runner, word: Lost) -> list[tuple[WorkItem, Any]]:
        """Who pays for a runner that died: the attempt it was at; those never begun do not.

        One that never came at all has nothing in hand: then it is the next attempt that could not
        be begun, and all of them if their environment cannot be built.
        """
        if isinstance(word.error, rx.RuntimeEnvSetupError):
            landed = [(item, word) for item in self._queue]
            self._queue.clear()
            return landed
        if runner.in_hand:
            return [(runner.in_hand.pop(number), word) for number in runner.begun()]
        if runner.line is None and self._queue:
            return [(self._queue.popleft(), word)]
        return []

    def _carry(self, item: WorkItem) -> None:
        item.number = next(self._numbers)
        self._carried.add(item)
