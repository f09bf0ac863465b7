"""Triggers and their automations."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from flyte_ray.core.schedule import (
    Cron,
    FixedRate,
    OnArtifact,
    Trigger,
    TriggeredArtifact,
    TriggeredPartition,
    TriggerTime,
)


def test_cron_names_its_zone_unless_it_is_utc() -> None:
    assert Cron("0 9 * * *").timezone_expression == "0 9 * * *"
    berlin = Cron("0 9 * * *", timezone="Europe/Berlin")
    assert berlin.timezone_expression == "CRON_TZ=Europe/Berlin 0 9 * * *"
    assert berlin.times.hours == {9}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("every day",), "5 fields"),
        (("0 25 * * *",), "hour"),
        (("0 9 * * *", "Mars/Olympus"), "time zone"),
        (("0 9 * * *", "../etc/passwd"), "time zone"),
        (("0 9 * * *", ""), "time zone"),
    ],
)
def test_wrong_cron_is_refused_where_it_is_written(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Cron(*arguments)


@pytest.mark.parametrize("minutes", [0, -5, 1.5, True, "5"])
def test_wrong_rate_is_refused(minutes: Any) -> None:
    with pytest.raises(ValueError, match="interval_minutes"):
        FixedRate(minutes)


def test_artifact_partitions_come_in_both_forms() -> None:
    automation = OnArtifact("sales", partitions={"region": "eu"}, day="mon")
    assert automation.partitions == {"region": "eu", "day": "mon"}
    with pytest.raises(ValueError, match="name"):
        OnArtifact("")


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("minutely", "* * * * *"),
        ("hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 0"),
        ("monthly", "0 0 1 * *"),
    ],
)
def test_factories_name_and_time_their_trigger(name: str, expression: str) -> None:
    trigger = getattr(Trigger, name)("due", inputs={"x": 1}, auto_activate=False)
    assert trigger.name == name
    assert trigger.automation == Cron(expression)
    assert trigger.inputs == {"x": 1, "due": TriggerTime}
    assert not trigger.auto_activate


def test_factory_without_key_has_no_inputs() -> None:
    trigger = Trigger.daily(name="nightly")
    assert (trigger.name, trigger.inputs) == ("nightly", None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": ""}, "name"),
        ({"name": "t", "inputs": {"x": TriggerTime}}, "TriggerTime"),
        (
            {"name": "t", "automation": OnArtifact("a"), "inputs": {"x": TriggerTime}},
            "TriggerTime",
        ),
        ({"name": "t", "inputs": {"x": TriggeredArtifact()}}, "OnArtifact"),
        ({"name": "t", "inputs": {"x": TriggeredArtifact}}, "OnArtifact"),
        (
            {"name": "t", "automation": FixedRate(5), "inputs": {"x": TriggeredPartition("day")}},
            "OnArtifact",
        ),
        (
            {
                "name": "t",
                "automation": OnArtifact("a"),
                "inputs": {"x": TriggeredArtifact(), "y": TriggeredArtifact},
            },
            "only one",
        ),
    ],
)
def test_wrong_trigger_is_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Trigger(**arguments)


def test_trigger_may_bind_artifact_and_partitions() -> None:
    inputs = {"a": TriggeredArtifact(), "d": TriggeredPartition("day")}
    assert Trigger("t", OnArtifact("a"), inputs=inputs).inputs == inputs


def test_trigger_time_is_one_object_in_every_process() -> None:
    assert pickle.loads(pickle.dumps(TriggerTime)) is TriggerTime
    assert copy.deepcopy(TriggerTime) is TriggerTime
    assert type(TriggerTime)() is TriggerTime
    assert repr(TriggerTime) == "TriggerTime"


def test_trigger_travels() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    trigger = Trigger("t", FixedRate(5, start), inputs={"x": TriggerTime}, labels={"a": "b"})
    assert pickle.loads(pickle.dumps(trigger)) == trigger
