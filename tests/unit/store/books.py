"""Runs and events for tests of the record."""

from __future__ import annotations

from typing import Any

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import ROOT_ACTION, ActionId, RunName
from flyte_ray.core.model import Event, EventKind
from flyte_ray.core.payload import EncodedValue, Payload

ONE = Payload(
    values={
        "x": EncodedValue(codec="json", type="int", digest="d" * 64, size_bytes=1, inline="1"),
    }
)


def run_spec(name: str = "r1", **fields: Any) -> RunSpec:
    defaults: dict[str, Any] = {
        "store_url": "memory://test",
        "task": "env.main",
        "address": TaskAddress(name="env.main", module="flow"),
        "task_identity": "i1",
        "inputs": ONE,
        "started_us": 1_000_000,
    }
    return RunSpec(name=RunName(name), **{**defaults, **fields})


def row(kind: EventKind, action: str = "a1", *, at_us: int = 1, **fields: Any) -> Event:
    defaults: dict[str, Any] = {"parent_id": ROOT_ACTION, "task": "env.step"}
    if action == ROOT_ACTION:
        defaults = {"task": "env.main"}
    return Event(kind=kind, at_us=at_us, action_id=ActionId(action), **{**defaults, **fields})


def success(action: str) -> Event:
    return row(EventKind.SUCCEEDED, action, attempt=1, outputs=ONE.to_json())
