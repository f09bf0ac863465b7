"""How a pool grows, shrinks and ends; no clock, no Ray."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.reuse import ReusePolicy
from flyte_ray.runtime.scaling import Demand, ReplicaLook, Scaling, scaled

POLICY = ReusePolicy(replicas=(1, 4), idle_ttl=300, scaledown_ttl=60)


def step(
    demands: list[Demand], *idle_s: float, policy: ReusePolicy = POLICY, **more: Any
) -> Scaling:
    replicas = [ReplicaLook(name=f"r{n}", idle_s=each) for n, each in enumerate(idle_s)]
    return scaled(policy, demands, replicas, **{"idle_s": 0.0, **more})


def test_the_fewest_are_there_before_anybody_calls() -> None:
    assert step([]) == Scaling(start=1)


def test_long_calls_that_wait_get_replicas_up_to_the_most() -> None:
    assert step([Demand(in_hand=1, waiting=2, pace_s=30)], 0) == Scaling(start=2)
    assert step([Demand(in_hand=1, waiting=900, pace_s=30)], 0) == Scaling(start=3)


def test_many_short_calls_need_no_further_replica() -> None:
    assert step([Demand(in_hand=1, waiting=6000, pace_s=1e-5)], 0.0, 0.0) == Scaling()


def test_slots_are_counted_not_calls() -> None:
    wide = ReusePolicy(replicas=(0, 8), concurrency=10)
    assert step([Demand(in_hand=10, waiting=11, pace_s=9)], 0, policy=wide) == Scaling(start=2)


def test_the_demands_of_all_callers_add_up() -> None:
    assert step([Demand(in_hand=1), Demand(in_hand=1), Demand(in_hand=1)], 0) == Scaling(start=2)


def test_a_replica_that_idled_long_enough_goes_down_to_the_fewest() -> None:
    assert step([], 70.0, 10.0, 65.0) == Scaling(drain=("r0", "r2"))
    assert step([], 70.0, 80.0) == Scaling(drain=("r1",))
    assert step([], 90.0) == Scaling()


def test_a_pool_that_nobody_wants_ends() -> None:
    assert step([], 400.0, 400.0, idle_s=300.0) == Scaling(drain=("r0", "r1"), end=True)


def test_a_replaced_pool_serves_who_still_calls_and_goes_soon() -> None:
    assert step([Demand(in_hand=1, waiting=1, pace_s=9)], 0, is_replaced=True) == Scaling(start=1)
    assert step([], 6.0, 1.0, is_replaced=True, idle_s=1.0) == Scaling(drain=("r0",))
    assert step([], 6.0, idle_s=6.0, is_replaced=True) == Scaling(drain=("r0",), end=True)


demands = st.lists(
    st.builds(
        Demand,
        in_hand=st.integers(0, 50),
        waiting=st.integers(0, 10_000),
        pace_s=st.floats(1e-5, 100),
    ),
    max_size=5,
)


@given(demands, st.lists(st.floats(0, 1000), max_size=8), st.floats(0, 299), st.booleans())
def test_a_living_pool_stays_within_its_limits(
    wanted: list[Demand], idle: list[float], idle_s: float, is_replaced: bool
) -> None:
    idle_s = min(idle_s, 4.0) if is_replaced else idle_s
    result = step(wanted, *idle, idle_s=idle_s, is_replaced=is_replaced)
    left = len(idle) - len(result.drain) + result.start
    assert not result.end
    assert not (result.start and result.drain)
    assert left <= max(4, len(idle))
    assert left >= (0 if is_replaced else 1)
    assert result.start == 0 or left <= 4
