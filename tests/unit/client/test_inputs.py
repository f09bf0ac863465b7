from __future__ import annotations

import pytest

from flyte_ray.client.inputs import input_changes


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ("ab", "ba", ""),
        ("ab", "a", "b gone"),
        ("a", "acb", "c, b new"),
        ("xy", "yz", "x gone, z new"),
    ],
)
def test_names_of_one_side_alone_are_told(then: str, now: str, told: str) -> None:
    found = input_changes(tuple(then), tuple(now))
    assert str(found) == told
    assert bool(found) is bool(told)
