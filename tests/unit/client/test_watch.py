"""A run that nobody carries any more is told apart from one that is only slow."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from flyte_ray.client.watch import SILENT_S, silence_of
from flyte_ray.core.model import ActionPhase
from flyte_ray.store.catalog import RunRecord
from tests.unit.cli.stand_in import run_record


def underway(heartbeat_age_s: float | None, **changes: object) -> RunRecord:
    record = run_record(phase=ActionPhase.RUNNING, ended_us=None, heartbeat_age_s=heartbeat_age_s)
    return replace(record, **changes)


@pytest.mark.parametrize("age_s", [SILENT_S + 5, None])
def test_silence_names_the_next_step(age_s: float | None) -> None:
    told = silence_of(underway(age_s))
    assert told.startswith("no sign of life for ")
    assert told.endswith("flyte-ray rerun brisk-otter --recover")


def test_a_run_that_lives_just_began_or_has_ended_is_not_silent() -> None:
    assert silence_of(underway(2.0)) == ""
    assert silence_of(underway(None, started_us=int(time.time() * 1e6))) == ""
    assert silence_of(replace(underway(SILENT_S + 5), ended_us=1)) == ""
