"""What a runner does between its caller's frames: no Ray, a pipe for the line."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from flyte_ray.runtime.shift import Shift
from flyte_ray.runtime.wire import AttemptBytes

PATIENCE_S = 20.0


class Caller:
    """The other end of the line, and the thread that the shift works in."""

    def __init__(self, carry_out: Callable[[AttemptBytes, Shift], bytes]) -> None:
        self.line, other = Pipe()
        self.left: list[tuple[int, bytes]] | None = None
        self._thread = threading.Thread(target=self._work, args=(other, carry_out), daemon=True)
        self._thread.start()

    def _work(self, line: Connection, carry_out: Callable[[AttemptBytes, Shift], bytes]) -> None:
        self.left = Shift(line).work(carry_out)
        line.close()

    def say(self, *frame: Any) -> None:
        self.line.send_bytes(pickle.dumps(frame))

    def ask_for(self, *attempts: tuple[int, bytes]) -> None:
        self.say("shared", 0, (b"run", b"options"))
        self.say("run", [(number, 0, own) for number, own in attempts])

    def hear(self) -> Any:
        assert self.line.poll(PATIENCE_S), "the runner said nothing"
        return pickle.loads(self.line.recv_bytes())

    def gone(self) -> list[tuple[int, bytes]] | None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.left


def echo(data: AttemptBytes, shift: Shift) -> bytes:
    return b"did " + data[2]


def results(frame: Any) -> list[tuple[int, bytes]]:
    assert frame[0] == "done"
    return [(number, outcome) for number, outcome, _ in frame[1]]


def test_attempts_are_carried_out_in_order_until_the_caller_ends_the_shift() -> None:
    caller = Caller(echo)
    caller.ask_for((1, b"a"), (2, b"b"))
    heard = results(caller.hear())
    while len(heard) < 2:
        heard += results(caller.hear())
    assert heard == [(1, b"did a"), (2, b"did b")]
    assert caller.hear() == ("idle",)
    caller.say("end")
    assert caller.gone() == []


def test_work_that_comes_after_idle_is_still_done() -> None:
    caller = Caller(echo)
    assert caller.hear() == ("idle",)
    caller.ask_for((7, b"late"))
    assert results(caller.hear()) == [(7, b"did late")]


def test_what_waits_behind_a_long_attempt_goes_back() -> None:
    def slow(data: AttemptBytes, shift: Shift) -> bytes:
        shift.look(waits_for_children=False)
        return b"did " + data[2]

    caller = Caller(slow)
    caller.ask_for((1, b"a"), (2, b"b"), (3, b"c"))
    assert caller.hear() == ("back", [2, 3])
    assert results(caller.hear()) == [(1, b"did a")]


def test_a_waiting_attempt_says_so_once() -> None:
    def parent(data: AttemptBytes, shift: Shift) -> bytes:
        for _ in range(3):
            shift.look(waits_for_children=True)
        return b"did " + data[2]

    caller = Caller(parent)
    caller.ask_for((1, b"a"))
    assert caller.hear() == ("waiting",)
    assert results(caller.hear()) == [(1, b"did a")]


def test_the_current_attempt_hears_that_it_is_not_wanted() -> None:
    begun = threading.Event()

    def until_stopped(data: AttemptBytes, shift: Shift) -> bytes:
        begun.set()
        while not shift.look(waits_for_children=False):
            pass
        return b"stopped"

    caller = Caller(until_stopped)
    caller.ask_for((1, b"a"))
    assert begun.wait(PATIENCE_S)
    caller.say("cancel", 1)
    assert results(caller.hear()) == [(1, b"stopped")]


def test_an_attempt_that_was_not_begun_is_dropped_when_cancelled() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held(data: AttemptBytes, shift: Shift) -> bytes:
        begun.set()
        go_on.wait(PATIENCE_S)
        return b"did " + data[2]

    caller = Caller(held)
    caller.ask_for((1, b"a"))
    assert begun.wait(PATIENCE_S)
    caller.ask_for((2, b"b"), (3, b"c"))
    caller.say("cancel", 2)
    go_on.set()
    assert results(caller.hear()) == [(1, b"did a")]
    assert caller.hear() == ("dropped", 2)
    assert results(caller.hear()) == [(3, b"did c")]


def test_after_its_last_attempt_a_poisoned_process_takes_no_more() -> None:
    def poison(data: AttemptBytes, shift: Shift) -> bytes:
        shift.end()
        return b"did " + data[2]

    caller = Caller(poison)
    caller.ask_for((1, b"a"), (2, b"b"))
    assert caller.hear() == ("back", [2])
    assert results(caller.hear()) == [(1, b"did a")]
    assert caller.gone() == []


def test_a_caller_that_is_gone_finds_the_rest_in_the_ray_calls_value() -> None:
    def after_the_caller(data: AttemptBytes, shift: Shift) -> bytes:
        caller.line.close()
        return b"did " + data[2]

    caller = Caller(after_the_caller)
    caller.ask_for((1, b"a"))
    assert caller.gone() == [(1, b"did a")]
