"""What `with_runcontext` takes, and how runs are found again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flyte_ray as flyte
from flyte_ray.client import run as run_room
from flyte_ray.client.run import Run
from flyte_ray.client.session import temporary_session
from flyte_ray.errors import InitializationError
from flyte_ray.models import ActionPhase
from flyte_ray.notify import Slack
from flyte_ray.store.catalog import Catalog


def test_who_asks_for_notifications_is_told_that_nobody_sends_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slack = Slack(on_phase=ActionPhase.FAILED, webhook_url="https://hooks.example/1")
    with caplog.at_level(logging.WARNING):
        flyte.with_runcontext("local", notifications=[slack])
    assert "notifications of a run are not sent" in caplog.text
    caplog.clear()
    flyte.with_runcontext("local", notifications=None)
    assert caplog.text == ""


def double(x: int) -> int:
    return 2 * x


@pytest.mark.parametrize("fsync", [True, False])
def test_a_run_tells_its_processes_whether_writes_are_forced_to_the_disk(
    fsync: bool, tmp_path: Path
) -> None:
    task = flyte.TaskEnvironment(name="launched").task(double)
    with temporary_session(store=str(tmp_path), fsync=fsync):
        dry: Any = flyte.with_runcontext("local", dry_run=True).run(task, 1)
    assert bool(dry.task_spec.options.get("fsync")) is fsync


def test_a_relative_raw_data_path_is_meant_from_where_the_run_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = flyte.TaskEnvironment(name="launched").task(double)
    monkeypatch.chdir(tmp_path)
    with temporary_session(store=str(tmp_path / "store")):
        dry: Any = flyte.with_runcontext("local", dry_run=True, raw_data_path="raw").run(task, 1)
    assert dry.task_spec.raw_data_path == str(tmp_path / "raw")


def test_ctrl_c_lets_go_of_a_run_that_was_found_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = flyte.TaskEnvironment(name="launched").task(double)
    with temporary_session(store=str(tmp_path)):
        flyte.with_runcontext("local").run(task, 1).wait(quiet=True)
        (listed,) = Run.listall()
        aborted: list[str] = []
        monkeypatch.setattr(listed._link, "abort", aborted.append)

        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(listed._link, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            listed.wait(quiet=True)
    assert aborted == []


@pytest.fixture
def ended_on_ray(tmp_path: Path) -> Iterator[str]:
    """A run that ended on a cluster that is no more."""
    task = flyte.TaskEnvironment(name="launched").task(double)
    with temporary_session(store=str(tmp_path)):
        run: Any = flyte.with_runcontext("local").run(task, 21)
        run.wait(quiet=True)
        described = tmp_path / "runs" / run.name / "run.json"
        described.write_text(json.dumps({**json.loads(described.read_text()), "mode": "remote"}))
        yield run.name


def test_what_has_ended_is_read_without_a_cluster(
    ended_on_ray: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(session: object) -> None:
        pytest.fail("nobody is needed to read what has ended")

    monkeypatch.setattr(run_room, "connected_engine", connect)
    assert tuple(Run.get(ended_on_ray).outputs()) == (42,)


def test_a_run_whose_cluster_is_gone_is_followed_by_its_record(
    ended_on_ray: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(session: object) -> None:
        raise InitializationError("ClusterNotFound", "usage", "there is no Ray cluster there")

    monkeypatch.setattr(run_room, "connected_engine", connect)
    monkeypatch.setattr(Catalog, "has_ended", lambda *_: False)
    assert Run.get(ended_on_ray).done()
    assert "followed by its record: there is no Ray cluster there" in capsys.readouterr().err
