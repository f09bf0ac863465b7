"""`get pools` and `stop pool` say what is warm, and end it."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.stand_in import FakeHouse

Captured = pytest.CaptureFixture[str]


def test_pools_are_listed(capsys: Captured) -> None:
    assert FakeHouse(warm=["trainer"]).answer("get", "pools") == 0
    text = capsys.readouterr().out
    assert "pool-trainer-1234-5678" in text
    assert "idle" in text


def test_pools_for_programs(capsys: Captured) -> None:
    assert FakeHouse(warm=["trainer"]).answer("get", "pools", "-o", "json") == 0
    (pool,) = json.loads(capsys.readouterr().out)
    assert pool["environment"] == "trainer"
    assert pool["idle_s"] == 0.1


def test_where_nothing_is_warm_it_says_how_things_get_warm(capsys: Captured) -> None:
    assert FakeHouse().answer("get", "pools") == 0
    assert "reusable environments" in capsys.readouterr().err


def test_a_pool_is_stopped_by_its_environment(capsys: Captured) -> None:
    there = FakeHouse(warm=["trainer", "scorer"])
    assert there.answer("stop", "pool", "trainer") == 0
    assert there.warm == ["scorer"]
    assert "Stopped pool-trainer-1234-5678." in capsys.readouterr().err


def test_an_unknown_pool_is_named(capsys: Captured) -> None:
    assert FakeHouse().answer("stop", "pool", "trainer") == 2
    assert "no pool 'trainer'" in capsys.readouterr().err
