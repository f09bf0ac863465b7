"""Digests. The golden values must never change: every stored identity is built from them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.digest import (
    canonical_json,
    digest_bytes,
    digest_json,
    digest_lines,
    digest_of_digests,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_golden_values() -> None:
    assert digest_json({"b": 1, "a": [1.5, None, True, "é"]}) == (
        "b21bfe8839db48b8eee8c99573f82a85607d1edf61fc9b5daddbf8c07eb90894"
    )
    assert digest_bytes(b"ab", b"c") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert digest_lines(["ab", "c"]) == (
        "825825018f58e795ae2d3d8df6a879567555c77654e9ca3071df2fe127aa9ebd"
    )


@given(PLAIN)
def test_canonical_text_says_the_same_as_the_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    assert digest_json(dict(reversed(value.items()))) == digest_json(value)


def test_the_parts_of_bytes_do_not_count_but_those_of_lines_do() -> None:
    assert digest_bytes(b"ab", b"c") == digest_bytes(bytearray(b"a"), memoryview(b"bc"))
    assert digest_lines(["ab", "c"]) != digest_lines(["a", "bc"])


def test_canonical_text_is_compact_and_spells_what_json_cannot() -> None:
    assert canonical_json({"b": float("nan"), "a": "é"}) == '{"a":"é","b":NaN}'


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_digests_by_name_are_digested_as_any_plain_value(named: dict[str, str]) -> None:
    assert digest_of_digests(named) == digest_json(named)
    assert digest_of_digests({"x": "d" * 64}) == digest_json({"x": "d" * 64})
