"""Races of processes for cache keys: one computes, whoever is killed or stopped meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.store.flights import race


def test_of_many_processes_exactly_one_computes_each_key(tmp_path: Path) -> None:
    tally = race(tmp_path, processes=8, keys=100)
    assert (tally.keys, tally.computed, tally.most_computed) == (100, 100, 1)
    assert (tally.most_values, tally.told, tally.late) == (1, 800, 0)


def test_holders_that_are_killed_or_stopped_are_succeeded_and_change_nothing_later(
    tmp_path: Path,
) -> None:
    tally = race(tmp_path, processes=8, keys=200, kill=2, stop=2)
    assert (tally.keys, tally.most_values) == (200, 1), "everybody was told the same"
    assert tally.computed >= 204, "others took over from those four"
    assert tally.late >= 2, "those who woke came too late"
    assert tally.told >= 6 * 200, "all who live got all values"


@pytest.mark.scale
def test_64_processes_and_1000_keys(tmp_path: Path) -> None:
    tally = race(tmp_path, processes=64, keys=1000)
    assert (tally.computed, tally.most_computed, tally.most_values) == (1000, 1, 1)
    assert tally.told == 64_000


@pytest.mark.scale
def test_64_processes_and_1000_keys_with_a_quarter_killed_or_stopped(tmp_path: Path) -> None:
    tally = race(tmp_path, processes=64, keys=1000, kill=8, stop=8)
    assert (tally.keys, tally.most_values) == (1000, 1)
    assert tally.computed >= 1016
    assert tally.late >= 8
    assert tally.told >= 56 * 1000
