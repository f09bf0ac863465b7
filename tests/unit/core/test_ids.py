"""Names of actions. The golden values must never change while `VERSION` stays what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_ray.core.ids import (
    ROOT_ACTION,
    ROOT_SCOPE,
    VERSION,
    Scope,
    child_id,
    child_scope,
    derive,
)

PARTS = st.lists(st.text(max_size=20), max_size=5)


def test_golden_values() -> None:
    assert (VERSION, ROOT_ACTION, ROOT_SCOPE) == ("1", "a0", "a0")
    assert derive() == "seoc8gkovge196nruj49irtp"
    assert derive("a", "b") == "7ieli425ni47dueg76drvc2s"
    assert child_id(ROOT_SCOPE, "c" * 64, "d" * 64, "", 1) == "c8mecgn4ar2h41sv249oejr0"
    assert child_scope(ROOT_SCOPE, "env.step", "d" * 64, "", 1) == "58p6qe76rme52qt2ivnfcplv"


@given(PARTS)
def test_an_id_is_short_lower_case_and_the_same_each_time(parts: list[str]) -> None:
    name = derive(*parts)
    assert name == derive(*parts)
    assert 20 <= len(name) <= 25
    assert name.isascii()
    assert name.isalnum()
    assert name == name.lower()


@given(PARTS, PARTS)
def test_different_components_give_different_ids(one: list[str], other: list[str]) -> None:
    assert (derive(*one) == derive(*other)) is (one == other)


def test_where_a_component_ends_matters() -> None:
    assert derive("ab", "c") != derive("a", "bc") != derive("abc")


def test_text_that_is_no_unicode_has_an_id_too() -> None:
    assert derive("\ud800") != derive("\ud801")


@pytest.mark.parametrize(
    "changed",
    [
        ("another", "task", "inputs", "", 1),
        ("scope", "another", "inputs", "", 1),
        ("scope", "task", "another", "", 1),
        ("scope", "task", "inputs", "group", 1),
        ("scope", "task", "inputs", "", 2),
    ],
)
def test_every_component_counts(changed: tuple[str, str, str, str, int]) -> None:
    scope, *rest = changed
    same = (Scope("scope"), "task", "inputs", "", 1)
    assert child_id(Scope(scope), *rest) != child_id(*same)  # type: ignore[arg-type]
    assert child_scope(Scope(scope), *rest) != child_scope(*same)  # type: ignore[arg-type]


def test_an_action_and_its_scope_have_different_names() -> None:
    same = (Scope("scope"), "task", "inputs", "", 1)
    assert child_id(*same) != child_scope(*same)
