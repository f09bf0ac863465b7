"""Claims of cache keys: one computes, the dead are succeeded, their late results change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.leases import FLIGHTS_STAY_US, Claim, Held, Leases, Result, sweep_flights
from flyte_ray.store.liveness import Liveness, WatchPace
from flyte_ray.store.run_file import write_heartbeat
from tests.unit.store.stores import DictBlobs

PACE = WatchPace(look_s=1.0, ttl_s=10.0, poll_s=0.1)
KEY = "k" * 64


class Clock:
    """A monotonic clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class House:
    """A store, a clock, and runs that claim in it."""

    def __init__(self) -> None:
        self.blobs = DictBlobs()
        self.clock = Clock()

    def run(self, name: str, epoch: int = 1) -> Leases:
        return Leases(self.blobs, name, epoch, Liveness(self.blobs, PACE, self.clock))

    def beat(self, name: str, count: int, epoch: int = 1) -> None:
        write_heartbeat(self.blobs, RunName(name), epoch, count)

    def watch(self, leases: Leases, seconds: float) -> Any:
        """Ask once a second, as a waiter does; the last answer."""
        answer: Any = None
        for _ in range(int(seconds)):
            self.clock.now += 1.0
            answer = ask(leases)
        return answer


def ask(leases: Leases, action: str = "a1", accepts: Callable[[Result], bool] | None = None) -> Any:
    return leases.claim(KEY, action, accepts or (lambda _: True))


def test_the_first_claims_the_next_waits_and_gets_the_result() -> None:
    house = House()
    first, second = house.run("r1"), house.run("r2")
    claim = ask(first)
    assert isinstance(claim, Claim)
    assert claim.token == 0
    assert ask(second) == Held(holder=claim)
    assert first.finish(claim, "{}", 5)
    assert ask(second) == Result(
        key=KEY, slot=1, run="r1", action_id="a1", created_us=5, outputs="{}"
    )


def test_a_result_that_will_not_do_is_computed_again_under_a_higher_token() -> None:
    house = House()
    first, second = house.run("r1"), house.run("r2")
    first.finish(ask(first), "old", 1)
    claim = ask(second, accepts=lambda result: result.created_us > 3)
    assert claim.token == 2
    assert second.finish(claim, "new", 5)
    assert ask(first).outputs == "new"


def test_a_claim_that_was_given_up_is_free() -> None:
    house = House()
    first, second = house.run("r1"), house.run("r2")
    claim = ask(first)
    first.release(claim)
    first.release(claim)
    assert ask(second).token == 2
    assert not first.finish(claim, "late", 1)


def test_a_holder_that_stands_still_is_succeeded_and_its_late_result_changes_nothing() -> None:
    house = House()
    dead, heir = house.run("dead"), house.run("heir")
    house.beat("dead", 1)
    old = ask(dead)
    assert isinstance(house.watch(heir, 10), Held)
    new = house.watch(heir, 1)
    assert isinstance(new, Claim)
    assert new.token > old.token
    assert not dead.finish(old, "late", 1)
    assert heir.finish(new, "right", 2)
    assert not dead.finish(old, "late", 1)
    assert ask(dead).outputs == "right"


def test_a_holder_whose_heart_beats_is_never_succeeded() -> None:
    house = House()
    ask(house.run("slow"))
    waiter = house.run("waiter")
    for count in range(20):
        house.beat("slow", count)
        assert isinstance(house.watch(waiter, 6), Held)


def test_a_holder_without_any_heartbeat_is_waited_for_just_as_long() -> None:
    house = House()
    ask(house.run("young"))
    waiter = house.run("waiter")
    assert isinstance(house.watch(waiter, 10), Held)
    assert isinstance(house.watch(waiter, 2), Claim)


def test_a_waiter_that_slept_does_not_take_others_for_dead() -> None:
    house = House()
    ask(house.run("holder"))
    waiter = house.run("waiter")
    assert isinstance(house.watch(waiter, 3), Held)
    house.clock.now += 3600
    assert isinstance(ask(waiter), Held)
    assert isinstance(house.watch(waiter, 3), Held)


def test_the_end_of_a_run_and_a_later_owner_end_its_claims_at_once() -> None:
    house = House()
    ask(house.run("ended"))
    house.blobs.put(layout.final(RunName("ended"), 1), b"{}")
    assert ask(house.run("r2")).token == 1
    house.blobs.put(layout.owner(RunName("r2"), 2), b"{}")
    assert ask(house.run("r3")).token == 2


def test_the_next_owner_of_a_run_takes_its_own_claims_over() -> None:
    house = House()
    old = ask(house.run("r1", epoch=1))
    new = ask(house.run("r1", epoch=2))
    assert (old.token, new.token) == (0, 1)
    assert isinstance(ask(house.run("r1", epoch=1)), Held), "and the old one waits"


def test_half_a_file_promises_nothing() -> None:
    house = House()
    house.blobs.put(cache_layout.flight_slot(KEY, 0), b'{"kind": "cla')
    assert ask(house.run("r1")).token == 1


def test_chains_whose_last_word_is_old_are_swept_and_others_stay() -> None:
    house = House()
    leases = house.run("r1")
    leases.finish(ask(leases), "{}", 1)
    now = utc_now_us()
    later = now + FLIGHTS_STAY_US + 10**9
    assert sweep_flights(house.blobs, now - 10**9, now_us=later) == []
    assert sweep_flights(house.blobs, later) == [], "weeks are left to those who sleep"
    doomed = sweep_flights(house.blobs, later, now_us=later, dry_run=True)
    assert len(doomed) == 2
    assert isinstance(ask(leases), Result)
    assert sweep_flights(house.blobs, later, now_us=later) == doomed
    assert not house.blobs.list(cache_layout.FLIGHTS)
    assert ask(leases).token == 0


def test_an_old_claim_stays_while_its_run_has_not_ended() -> None:
    house = House()
    ask(house.run("r1"))
    house.blobs.put(layout.run_file(RunName("r1")), b"{}")
    later = utc_now_us() + FLIGHTS_STAY_US + 10**9
    assert sweep_flights(house.blobs, later, now_us=later) == []
    house.blobs.put(layout.final(RunName("r1"), 1), b"{}")
    assert len(sweep_flights(house.blobs, later, now_us=later)) == 1


@pytest.mark.parametrize("operation", ["claim", "finish"])
def test_a_lost_reply_is_settled_by_looking_who_wrote(operation: str) -> None:
    house = House()
    leases = house.run("r1")
    claim = ask(leases) if operation == "finish" else None
    repeated: list[str] = []

    class Twice(DictBlobs):
        """A client that repeats a put whose reply was lost, as gcsfs does."""

        def put_new(self, key: str, data: bytes) -> bool:
            repeated.append(key)
            super().put_new(key, data)
            return super().put_new(key, data)

    house.blobs.__class__ = Twice
    if claim is None:
        assert isinstance(ask(leases), Claim)
    else:
        assert leases.finish(claim, "{}", 1)
    assert repeated


class LeaseMachine(RuleBasedStateMachine):
    """Four runs, one key, a clock: claims, results, deaths, awakenings in any order.

    `truth` follows the rule that tokens stand for: a result counts if nobody has claimed since.
    """

    @initialize()
    def begin(self) -> None:
        self.house = House()
        self.runs = [self.house.run(f"r{number}") for number in range(4)]
        self.beats = [0] * 4
        self.awake = [True] * 4
        self.claims: dict[int, Claim] = {}
        self.results: list[str] = []
        self.tokens: list[int] = []
        self.quiet_s = [0.0] * 4

    runs_ = st.integers(0, 3)

    @rule(who=runs_, accepts=st.booleans())
    def asks(self, who: int, accepts: bool) -> None:
        if not self.awake[who] or who in self.claims:
            return
        answer = self.runs[who].claim(KEY, f"a{who}", lambda _: accepts)
        if isinstance(answer, Claim):
            assert all(answer.token > token for token in self.tokens)
            self.tokens.append(answer.token)
            for other, claim in self.claims.items():
                if self.is_current(claim):
                    assert self.quiet_s[other] >= PACE.ttl_s, "it was alive"
            self.claims[who] = answer
        elif isinstance(answer, Result):
            assert answer.outputs == self.results[-1]
        else:
            holder = int(answer.holder.run[1:])
            assert answer.holder == self.claims.get(holder)

    def is_current(self, claim: Claim) -> bool:
        """True before anybody else put the next slot (the one just claimed does not count)."""
        later = [token for token in self.tokens[:-1] if token > claim.token]
        return not later

    @rule(who=runs_)
    def finishes(self, who: int) -> None:
        """Also those that were taken for dead, and woke."""
        claim = self.claims.pop(who, None)
        if claim is None:
            return
        value = f"{who}-{claim.token}"
        counts = self.runs[who].finish(claim, value, 1)
        assert counts == (claim.token == max(self.tokens)), "the highest token counts, no other"
        if counts:
            self.results.append(value)

    @rule(who=runs_)
    def gives_up(self, who: int) -> None:
        claim = self.claims.pop(who, None)
        if claim is not None:
            self.runs[who].release(claim)

    @rule(who=runs_)
    def stops_or_wakes(self, who: int) -> None:
        self.awake[who] = not self.awake[who]

    @rule(seconds=st.integers(1, 15))
    def time_passes(self, seconds: int) -> None:
        """Those awake beat their heart, and ask, once a second."""
        for _ in range(seconds):
            self.house.clock.now += 1.0
            for who in range(4):
                if self.awake[who]:
                    self.beats[who] += 1
                    self.quiet_s[who] = 0.0
                    self.house.beat(f"r{who}", self.beats[who])
                else:
                    self.quiet_s[who] += 1.0
            for who in range(4):
                self.asks(who, accepts=True)

    @precondition(lambda self: bool(self.results))
    @invariant()
    def the_last_result_stands(self) -> None:
        slots = self.house.blobs.list(cache_layout.flight(KEY))
        assert [layout.number(name) for name in slots] == list(range(len(slots)))


LeaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLeaseMachine = LeaseMachine.TestCase
