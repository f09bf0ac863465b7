"""A run that nobody carries any more is told apart from one that is only slow."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from flyte_ray.client import watch
from flyte_ray.client.watch import SILENT_S, silence_of
from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.model import ActionPhase
from flyte_ray.errors import StoreError
from flyte_ray.store.catalog import RunRecord
from tests.unit.cli.stand_in import run_record
from tests.unit.engine.scenes import run_spec


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


@dataclass
class Lost:
    """A run whose end cannot be learned."""

    spec: RunSpec
    log: list[str]
    error: BaseException | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def finish(self) -> None:
        self.log.append(f"finish {self.name}")
        watch.forget(self)
        if self.error is not None:
            raise self.error

    def stop(self, reason: str) -> None:
        self.log.append(f"stop {self.name}")
        if self.error is not None:
            raise self.error


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs of this process, of which the first is lost; what is asked of them."""
    log: list[str] = []
    error = StoreError("its host is gone")
    one = Lost(run_spec(name=RunName("one"), mode="local"), log, error)
    other = Lost(run_spec(name=RunName("other"), mode="local"), log)
    monkeypatch.setattr(watch, "_runs", {"one": one, "other": other})
    monkeypatch.setattr(watch, "_failed", {})
    return log


def test_a_lost_run_fails_the_script_and_keeps_no_other_from_its_end(
    two: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(watch, "_leave", codes.append)
    watch._at_the_end()
    watch._at_exit_of_python()
    assert two == ["finish one", "finish other"]
    assert codes == [watch.FAILED]
    assert "run one failed: StoreError: its host is gone" in capsys.readouterr().err


@pytest.mark.parametrize(("is_awaited", "codes"), [(True, []), (False, [watch.FAILED])])
def test_a_failure_that_a_thread_of_the_script_waits_for_is_the_scripts_business(
    is_awaited: bool, codes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Lost):
        def finish(self) -> None:
            watch.forget(self, failure="failed: ValueError: expected")

    left: list[int] = []
    run = Failing(run_spec(name=RunName("one"), mode="local"), [])
    monkeypatch.setattr(watch, "_leave", left.append)
    monkeypatch.setattr(watch, "_runs", {"one": run})
    monkeypatch.setattr(watch, "_failed", {})
    monkeypatch.setattr(watch, "_seen", set())
    with watch.waiting_for(run) if is_awaited else nullcontext():
        watch._at_the_end()
    watch._at_exit_of_python()
    assert left == codes


def test_a_process_that_is_told_to_end_while_it_waits_at_its_end_has_that_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(watch, "_leave", codes.append)
    stopped = Lost(run_spec(name=RunName("one"), mode="local"), [], SystemExit(143))
    monkeypatch.setattr(watch, "_runs", {"one": stopped})
    watch._at_the_end()
    assert codes == [143]


def test_a_process_that_is_told_to_end_stops_all_its_runs(two: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        watch._stopped(15, None)  # type: ignore[arg-type]
    assert end.value.code == 143
    assert two == ["stop one", "stop other", "finish one", "finish other"]
