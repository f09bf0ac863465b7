"""What holds for any value of any type: it comes back, and its digest is that of its content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.codec.generated import case, reordered
from tests.unit.codec.values import encode, round_trip

ROOT = Path(__file__).resolve().parents[3]
SEEDS = st.integers(min_value=0, max_value=1 << 40)
DIGESTS = """
import sys
from tests.unit.codec.generated import case, reordered
from tests.unit.codec.values import encode
for seed in range(int(sys.argv[1])):
    type_, value, _ = case(seed)
    print(encode(reordered(value), type_).digest)
"""


def classes_in(value: Any) -> Any:
    """The classes of a value and of all that is in it."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=repr)
        return dict, [(classes_in(key), classes_in(each)) for key, each in pairs]
    if isinstance(value, list | tuple):
        return type(value), [classes_in(each) for each in value]
    if isinstance(value, frozenset):
        return frozenset, sorted(str(classes_in(each)) for each in value)
    return type(value)


@settings(max_examples=150)
@given(SEEDS)
def test_a_value_of_any_type_comes_back(seed: int) -> None:
    type_, value, _ = case(seed)
    back = round_trip(value, type_)
    assert back == value
    assert classes_in(back) == classes_in(value)


@settings(max_examples=150)
@given(SEEDS)
def test_distinct_values_of_a_type_have_distinct_digests(seed: int) -> None:
    type_, one, other = case(seed)
    digests = encode(one, type_).digest, encode(other, type_).digest
    if repr(reordered(one)) == repr(reordered(other)):
        assert digests[0] == digests[1]
    elif one != other:
        assert digests[0] != digests[1]


@settings(max_examples=100)
@given(SEEDS)
def test_the_order_of_insertion_does_not_count(seed: int) -> None:
    type_, value, _ = case(seed)
    encoded = encode(value, type_)
    assert encoded.digest == encode(reordered(value), type_).digest
    assert encoded.stable


def test_digests_of_any_type_are_the_same_in_every_process() -> None:
    count = 300
    here = [encode(value, type_).digest for type_, value, _ in map(case, range(count))]
    for hash_seed in ("0", "77"):
        there = subprocess.run(
            [sys.executable, "-c", DIGESTS, str(count)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.split() == here
