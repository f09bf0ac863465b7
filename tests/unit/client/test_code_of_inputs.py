"""An object whose class was edited is another input: of cached calls, reruns, recoveries, plans."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flyte_ray.client.explain.compare import compare
from flyte_ray.client.explain.forecast import forecast
from flyte_ray.client.explain.why import why
from flyte_ray.client.session import current_session
from flyte_ray.testing import assert_cached, assert_executed, assert_recovered
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain.stage import blobs_of

__all__ = ["flyte_local"]

PROJECT = {
    "scored.py": """
        import flyte_ray
        class Strategy:
            def score(self) -> int: return 0
        env = flyte_ray.TaskEnvironment(name="scored", cache="auto")
        @env.task
        async def evaluate(s: Strategy) -> int:
            return s.score()
        @env.task
        async def pick(strategies: list[Strategy]) -> Strategy:
            return strategies[0]
        @env.task(cache="disable")
        async def plain(x: int) -> int:
            return x
        @env.task(cache="disable")
        async def direct(s: Strategy) -> int:
            return await evaluate(s)
        @env.task(cache="disable")
        async def main(s: Strategy) -> int:
            return await evaluate(await pick([s])) + await plain(100)
        """,
    "fast_strategy.py": """
        from dataclasses import dataclass
        from scored import Strategy
        @dataclass
        class Fast(Strategy):
            k: int = 0
            def score(self) -> int: return 1
        """,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Writes the modules, `Fast.score` edited, and loads them as a new process would."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [file.removesuffix(".py") for file in PROJECT]

    def load(score: int) -> Any:
        for file, text in PROJECT.items():
            made = textwrap.dedent(text).replace("return 1", f"return {score}")
            (tmp_path / file).write_text(made, encoding="utf-8")
        for name in names:
            sys.modules.pop(name, None)
        scored, fast = map(__import__, names)
        return SimpleNamespace(scored=scored, Fast=fast.Fast)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def test_a_cached_result_does_not_answer_for_an_edited_class(
    flyte_local: LocalHarness, project: Callable[..., Any]
) -> None:
    p = project(1)
    assert flyte_local.run(p.scored.main, p.Fast()).outputs()[0] == 101
    again = flyte_local.run(p.scored.main, p.Fast())
    assert_cached(again, 1, task="evaluate")
    p = project(2)
    edited = flyte_local.run(p.scored.main, p.Fast())
    assert edited.outputs()[0] == 102
    assert_executed(edited, 1, task="evaluate")
    assert_executed(edited, 1, task="pick")


def test_a_rerun_of_the_record_has_the_class_as_it_is_now(
    flyte_local: LocalHarness, project: Callable[..., Any]
) -> None:
    p = project(1)
    first = flyte_local.run(p.scored.evaluate, p.Fast())
    assert flyte_local.rerun(first.name, code="current").outputs()[0] == 1
    project(2)
    assert flyte_local.rerun(first.name, code="current").outputs()[0] == 2


def test_where_old_and_new_class_meet_in_a_recovery_only_what_got_the_object_runs_again(
    flyte_local: LocalHarness, project: Callable[..., Any]
) -> None:
    p = project(1)
    first = flyte_local.run(p.scored.main, p.Fast())
    same = flyte_local.rerun(first.name, recover=True)
    assert_recovered(same, 3)
    project(2)
    edited = flyte_local.rerun(first.name, recover=True)
    assert edited.outputs()[0] == 102
    assert_recovered(edited, 1, task="plain")
    assert_executed(edited, 1, task="evaluate")


def test_the_reason_names_the_class(flyte_local: LocalHarness, project: Callable[..., Any]) -> None:
    for number in (1, 2):
        p = project(number)
        flyte_local.run_with({"name": f"r{number}"}, p.scored.main, p.Fast())
    found = why(blobs_of(flyte_local), "r2/evaluate")
    assert "differs in code fast_strategy.Fast of input s" in found.reason
    parted = compare(blobs_of(flyte_local), "r1", "r2").first
    assert parted is not None
    assert parted.reasons == ("inputs", "outputs")


def test_a_plan_knows_that_the_class_was_edited(
    flyte_local: LocalHarness, project: Callable[..., Any]
) -> None:
    def verdict(p: Any) -> str:
        planned = forecast(current_session(), p.scored.direct, {"s": p.Fast()})
        return {step.task: step.verdict for step in planned.steps}["scored.evaluate"]

    p = project(1)
    flyte_local.run(p.scored.direct, p.Fast())
    assert verdict(p) == "cached"
    assert verdict(project(2)) == "runs"
