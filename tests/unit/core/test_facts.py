"""Attributes of rows: text until somebody looks."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.facts import Facts, joined, text_of_facts

PLAIN = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=5,
    ),
    max_size=5,
)


@given(PLAIN)
def test_facts_are_the_mapping_that_was_written(attrs: dict[str, object]) -> None:
    facts = Facts(text_of_facts(attrs))
    assert dict(facts) == attrs
    assert bool(facts) is bool(attrs)
    assert len(facts) == len(attrs)
    assert text_of_facts(facts) is facts.text


def test_facts_cross_processes_as_text() -> None:
    facts = Facts('{"group":"night"}')
    assert pickle.loads(pickle.dumps(facts)) == facts == {"group": "night"}


def test_an_odd_value_becomes_text_and_no_character_is_lost() -> None:
    text = text_of_facts({"path": Path("a"), "half": "\ud800"})
    assert text.isascii()
    assert json.loads(text) == {"path": "a", "half": "\ud800"}


def test_parts_are_joined() -> None:
    assert joined("{}", '{"a":1}', "{}", '{"b":[2]}') == {"a": 1, "b": [2]}
    assert joined("{}").text == "{}"
