from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flyte_ray.client.naming import checked_run_name, new_run_name
from flyte_ray.store import layout


def test_a_made_name_says_when_and_is_not_made_twice() -> None:
    at = datetime(2026, 11, 22, 16, 45, 7, tzinfo=UTC)
    names = {new_run_name(at) for _ in range(200)}
    assert len(names) == 200
    assert all(name.startswith("20261122-164507-") for name in names)


def test_made_names_sort_by_time() -> None:
    at = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert new_run_name(at) < new_run_name(at + timedelta(seconds=1))


def test_a_made_name_is_one_that_may_be_chosen_and_stored() -> None:
    name = new_run_name()
    assert checked_run_name(name) == name
    assert layout.is_run_name(name)


@pytest.mark.parametrize("name", ["a", "nightly-2026.11", "A_b-c.9", "x" * 64])
def test_names_that_may_be_chosen(name: str) -> None:
    assert checked_run_name(name) == name
    assert layout.is_run_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", ".a", "a/b", "a b", "ä", "x" * 65, "a\n", "../a", "a%2Fb"]
)
def test_names_that_could_not_be_part_of_a_path_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a run's name"):
        checked_run_name(name)
