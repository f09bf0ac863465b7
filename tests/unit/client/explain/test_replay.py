"""A recorded attempt again: its own code, its exact inputs, nothing written."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.cli import replay_view
from flyte_ray.cli.load import load_file
from flyte_ray.client.explain.recording import from_json, recording, to_json
from flyte_ray.client.explain.replay import Replayed, replay
from flyte_ray.errors import (
    ActionAbortedError,
    ActionNotFoundError,
    ModuleLoadError,
    UnsupportedValueError,
)
from flyte_ray.testing.harness import LocalHarness, flyte_local
from flyte_ray.testing.replay import ExportedAttempt
from tests.unit.client.explain.stage import blobs_of, command, run

__all__ = ["flyte_local"]

Captured = pytest.CaptureFixture[str]

FLOW = """
    import asyncio
    import flyte_ray as flyte
    import numpy as np
    from replay_parts import LIMIT

    env = flyte.TaskEnvironment(name="replayed", cache="disable")

    @flyte.trace
    async def ask(question: str) -> str:
        return question + str(flyte.ctx().action.name)

    @env.task
    async def count(matrix: np.ndarray) -> int:
        return int(matrix.sum())

    @env.task
    def check(number: int, flag: str) -> int:
        print("checking", number)
        if number > LIMIT:
            raise ValueError(f"{number} is above {LIMIT}")
        return number

    @env.task
    async def main(size: int) -> str:
        flyte.report.log("<p>report</p>")
        answer = await ask("who?")
        number = await count(np.arange(size))
        try:
            await check.aio(number, "x" * 20_000)
        except ValueError as error:
            return answer + str(error)
        return answer

    @env.task
    async def endless() -> int:
        await asyncio.sleep(3600)
        return 1

    @env.task
    async def broken() -> int:
        raise ValueError("broken")

    @env.task
    async def gathering() -> int:
        slow, _ = await asyncio.gather(endless(), broken())
        return slow

    @env.task
    async def fastest() -> int:
        calls = {asyncio.ensure_future(endless()), asyncio.ensure_future(count(np.arange(3)))}
        done, left = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()
        return done.pop().result()

    @env.task
    async def deadline() -> int:
        return await asyncio.wait_for(endless(), 0.5)

    @env.task
    async def impatient() -> str:
        waiting = asyncio.ensure_future(endless())
        await count(np.arange(3))
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"
"""


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flyte_local: LocalHarness) -> Any:
    """A recorded run "one" of code below a folder of its own."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "replay_parts.py").write_text("LIMIT = 10\n", encoding="utf-8")
    (root / "replay_flow.py").write_text(textwrap.dedent(FLOW), encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    module = load_file(root / "replay_flow.py").module
    flyte_local.run_with({"name": "one", "root_dir": str(root)}, module.main, 8)
    yield root
    for name in ("replay_flow", "replay_parts"):
        sys.modules.pop(name, None)


def replayed(local: LocalHarness, reference: str, **options: Any) -> Replayed:
    blobs = blobs_of(local)
    return replay(recording(blobs, reference), blobs, **options)


def stored(local: LocalHarness) -> set[str]:
    return {str(path) for path in local.store.rglob("*") if path.is_file()}


def test_a_failure_is_raised_again(flow: Path, flyte_local: LocalHarness) -> None:
    found = replayed(flyte_local, "one/check")
    assert isinstance(found.exception, ValueError)
    assert str(found.exception) == "28 is above 10"
    assert found.agrees


def test_calls_and_traces_are_answered_from_the_record(
    flow: Path, flyte_local: LocalHarness
) -> None:
    before = stored(flyte_local)
    found = replayed(flyte_local, "one")
    assert found.exception is None
    assert found.value.endswith("28 is above 10")
    assert found.agrees
    assert (found.answered, found.in_place) == (3, 0)
    assert stored(flyte_local) == before


@pytest.mark.parametrize(("code", "agrees"), [("recorded", True), ("current", False)])
def test_the_recorded_code_runs_unless_the_present_one_is_asked_for(
    flow: Path, flyte_local: LocalHarness, code: str, agrees: bool
) -> None:
    (flow / "replay_parts.py").write_text("LIMIT = 1000\n", encoding="utf-8")
    for name in ("replay_flow", "replay_parts"):
        del sys.modules[name]
    found = replayed(flyte_local, "one/check", code=code)
    assert (found.value, found.agrees) == (None if agrees else 28, agrees)


@pytest.mark.parametrize(
    ("name", "raised"), [("gathering", "broken"), ("fastest", None), ("impatient", None)]
)
def test_a_call_that_was_cancelled_does_not_answer_before_its_siblings(
    flow: Path, flyte_local: LocalHarness, name: str, raised: str | None
) -> None:
    task = getattr(sys.modules["replay_flow"], name)
    flyte_local.run_with({"name": "open", "root_dir": str(flow)}, task)
    found = replayed(flyte_local, "open", patience_s=60.0)
    assert found.agrees
    assert found.in_place == 0
    assert (found.exception and str(found.exception)) == raised


def test_a_body_that_is_not_done_without_a_cancelled_call_is_told_of_its_end(
    flow: Path, flyte_local: LocalHarness
) -> None:
    task = sys.modules["replay_flow"].deadline
    flyte_local.run_with({"name": "open", "root_dir": str(flow)}, task)
    patient, hasty = (replayed(flyte_local, "open", patience_s=s) for s in (60.0, 0.0))
    assert isinstance(patient.exception, TimeoutError)
    assert patient.agrees
    assert isinstance(hasty.exception, ActionAbortedError)
    assert not hasty.agrees


def test_a_recording_survives_its_file(flow: Path, flyte_local: LocalHarness) -> None:
    blobs = blobs_of(flyte_local)
    packed = json.loads(json.dumps(to_json(recording(blobs, "one"), blobs)))
    assert from_json(packed)[0].calls == recording(blobs, "one").calls
    attempt = ExportedAttempt(packed)
    assert attempt.run().endswith("28 is above 10")
    assert attempt.agrees
    with pytest.raises(UnsupportedValueError, match="upgrade flyte-ray"):
        from_json({**packed, "format": 99})


@pytest.mark.parametrize("action", ["check", "count"])
def test_an_exported_test_passes_without_project_and_store(
    flow: Path, flyte_local: LocalHarness, tmp_path: Path, action: str
) -> None:
    file = tmp_path / f"exported_{action}.py"
    assert command(flyte_local, "replay", f"one/{action}", "--export-test", str(file)) == 0
    for root in (flow, flyte_local.store):
        shutil.rmtree(root)
    for name in ("replay_flow", "replay_parts"):
        del sys.modules[name]
    exported = runpy.run_path(str(file))
    exported[f"test_{action}_of_one"]()


def test_the_command_says_what_it_came_to(
    flow: Path, flyte_local: LocalHarness, capsys: Captured
) -> None:
    capsys.readouterr()
    assert command(flyte_local, "replay", "one/count") == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == "28"
    assert "Returned; the record says the same" in printed.err
    assert command(flyte_local, "replay", "one/check") == 1
    printed = capsys.readouterr()
    assert "checking 28" in printed.out
    text = " ".join(printed.err.split())
    assert "in check raise ValueError" in text
    assert "Raised ValueError; the record says the same" in text


def test_the_debugger_stands_in_the_authors_code(
    flow: Path, flyte_local: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(replay_view.pdb, "post_mortem", seen.append)
    assert command(flyte_local, "replay", "one/check", "--pdb") == 1
    assert seen[0].tb_frame.f_code.co_name == "check"
    assert seen[0].tb_frame.f_locals["number"] == 28


def test_what_cannot_be_replayed_is_refused(flow: Path, flyte_local: LocalHarness) -> None:
    blobs = blobs_of(flyte_local)
    with pytest.raises(UnsupportedValueError, match="has no attempt 7; it has 1"):
        recording(blobs, "one/check", 7)
    with pytest.raises(UnsupportedValueError, match="is a trace: only tasks"):
        recording(blobs, "one/ask")
    with pytest.raises(ActionNotFoundError):
        recording(blobs, "one/nobody")


def test_a_run_without_code_says_what_to_do(flyte_local: LocalHarness) -> None:
    from tests.unit.client.explain import flows

    options = {"name": "bare", "copy_style": "none", "version": "1"}
    flyte_local.run_with(options, flows.scale, 2.0, 3.0)
    with pytest.raises(ModuleLoadError, match="--code current"):
        replayed(flyte_local, "bare")
    assert replayed(flyte_local, "bare", code="current").agrees


def test_an_earlier_attempt_can_be_chosen(flyte_local: LocalHarness) -> None:
    run(flyte_local, "one")
    assert recording(blobs_of(flyte_local), "one/mean", 1).attempt == 1
