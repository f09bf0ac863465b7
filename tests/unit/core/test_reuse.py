"""ReusePolicy: numbers of replicas and their lives."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flyte_ray.core.reuse import ReusePolicy


@pytest.mark.parametrize(
    ("replicas", "pair", "most"),
    [(2, (2, 2), 2), ((1, 4), (1, 4), 4), ((0, 3), (0, 3), 3), (0, (0, 0), 1)],
)
def test_replicas_become_a_pair(replicas: Any, pair: tuple[int, int], most: int) -> None:
    policy = ReusePolicy(replicas=replicas)
    assert policy.replicas == pair
    assert (policy.min_replicas, policy.max_replicas) == (pair[0], most)


@pytest.mark.parametrize(
    "replicas", [None, [1, 2], "2", (1,), (1, 2, 3), (1.0, 2), (1, None), -1, (-1, 2), (3, 2), True]
)
def test_wrong_replicas_are_refused(replicas: Any) -> None:
    with pytest.raises(ValueError, match="replicas"):
        ReusePolicy(replicas=replicas)


@pytest.mark.parametrize("name", ["idle_ttl", "scaledown_ttl"])
@pytest.mark.parametrize("ttl", [29, timedelta(seconds=29), None, 45.0, "60", True])
def test_wrong_lifetimes_are_refused(name: str, ttl: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ReusePolicy(**{name: ttl})


def test_lifetimes_become_timedeltas() -> None:
    policy = ReusePolicy(idle_ttl=300, scaledown_ttl=timedelta(minutes=1))
    assert policy.idle_ttl == timedelta(seconds=300)
    assert policy.get_scaledown_ttl() == timedelta(seconds=60)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, None, True])
def test_wrong_concurrency_is_refused(concurrency: Any) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        ReusePolicy(concurrency=concurrency)


def test_unknown_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="scope"):
        ReusePolicy(scope="planet")  # type: ignore[arg-type]


def test_policy_travels_and_can_be_replaced() -> None:
    policy = ReusePolicy((1, 3), 60, 4, 90, "run")
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert replace(policy, concurrency=1).scope == "run"
