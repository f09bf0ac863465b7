"""The reason of an action: cached, recovered, or run because a named component differs."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.cli.load import load_file
from flyte_ray.client.explain.compare import compare
from flyte_ray.client.explain.parting import Difference
from flyte_ray.client.explain.why import Why, why
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain.stage import blobs_of, run

__all__ = ["flyte_local"]

FLOW = """
    from dataclasses import dataclass
    import flyte_ray as flyte
    env = flyte.TaskEnvironment(name="edited", cache="auto")
    FACTOR = 2

    @dataclass
    class Size:
        width: int
        height: int

    def area(size: Size) -> int:
        return size.width * size.height

    @env.task(cache=flyte.Cache("auto", ignored_inputs=("note",)))
    async def measure(size: Size, note: str) -> int:
        return area(size) * FACTOR

    @env.task(cache="disable")
    async def main(width: int, height: int, note: str) -> int:
        return await measure(Size(width, height), note)

"""


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the workflow with a change, and loads it as a new process would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(old: str = "", new: str = "") -> Any:
        sys.modules.pop("edited_flow", None)
        text = textwrap.dedent(FLOW)
        assert old in text
        (tmp_path / "edited_flow.py").write_text(text.replace(old, new), encoding="utf-8")
        return load_file(tmp_path / "edited_flow.py").module

    yield load
    sys.modules.pop("edited_flow", None)


def of_measure(local: LocalHarness, name: str) -> Why:
    return why(blobs_of(local), f"{name}/measure")


def counting(found: Why) -> list[Difference]:
    return [each for each in found.differences if each.counts]


def test_a_cached_action_names_who_computed_it(flyte_local: LocalHarness, edited: Any) -> None:
    module = edited()
    run(flyte_local, "one", module.main, 2, 3, "a")
    run(flyte_local, "two", module.main, 2, 3, "a")
    found = of_measure(flyte_local, "two")
    assert found.verdict == "cached"
    assert found.nearest is not None
    assert found.nearest.run == "one"


def test_the_first_call_of_all_says_so(flyte_local: LocalHarness, edited: Any) -> None:
    run(flyte_local, "one", edited().main, 2, 3, "a")
    found = of_measure(flyte_local, "one")
    assert (found.verdict, found.nearest) == ("ran", None)
    assert "no earlier call of edited.measure" in found.reason


def test_the_field_of_an_input_that_differs_is_named(
    flyte_local: LocalHarness, edited: Any
) -> None:
    module = edited()
    run(flyte_local, "one", module.main, 2, 3, "a")
    run(flyte_local, "two", module.main, 2, 4, "b")
    found = of_measure(flyte_local, "two")
    assert [(d.kind, d.name, d.before, d.after) for d in counting(found)] == [
        ("input", "size.height", "3", "4")
    ]
    assert [(d.name, d.counts) for d in found.differences if d.kind == "input"] == [
        ("size.height", True),
        ("note", False),
    ]
    assert "differs in input size.height" in found.reason


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("* FACTOR", "+ FACTOR", "measure"),
        ("size.width * size.height", "size.width + size.height", "area"),
        ("FACTOR = 2", "FACTOR = 3", "FACTOR"),
    ],
)
def test_the_code_that_differs_is_shown_as_a_diff(
    flyte_local: LocalHarness, edited: Any, old: str, new: str, name: str
) -> None:
    run(flyte_local, "one", edited().main, 2, 3, "a")
    run(flyte_local, "two", edited(old, new).main, 2, 3, "a")
    (found,) = counting(of_measure(flyte_local, "two"))
    assert found.kind == "code"
    assert found.name.endswith(f".{name}")
    assert any(line.startswith("-") and old in line for line in found.lines)
    assert any(line.startswith("+") and new in line for line in found.lines)


def test_a_comparison_shows_the_code_below_the_first_difference(
    flyte_local: LocalHarness, edited: Any
) -> None:
    run(flyte_local, "one", edited().main, 2, 3, "a")
    run(flyte_local, "two", edited("FACTOR = 2", "FACTOR = 3").main, 2, 4, "a")
    found = compare(blobs_of(flyte_local), "one", "two")
    assert found.first is not None
    assert found.first.reasons == ("code", "inputs", "outputs"), "of a task that it calls"
    (code,) = found.code
    assert code.lines == ("@@ -1 +1 @@", "-FACTOR = 2", "+FACTOR = 3")


def test_a_recovered_action_names_its_source(flyte_local: LocalHarness, edited: Any) -> None:
    module = edited()
    run(flyte_local, "one", module.main, 2, 3, "a")
    again = flyte_local.rerun("one", recover=True)
    found = of_measure(flyte_local, again.name)
    assert found.verdict == "recovered"
    assert found.nearest is not None
    assert found.nearest.run == "one"


def test_an_uncached_task_says_that_it_is(flyte_local: LocalHarness, edited: Any) -> None:
    module = edited()
    run(flyte_local, "one", module.main, 2, 3, "a")
    run(flyte_local, "two", module.main, 2, 5, "a")
    found = why(blobs_of(flyte_local), "two")
    assert "not cached" in found.reason
    assert [d.name for d in counting(found)] == ["height"]


def test_a_run_that_replaces_the_cache_says_so(flyte_local: LocalHarness, edited: Any) -> None:
    module = edited()
    run(flyte_local, "one", module.main, 2, 3, "a")
    flyte_local.run_with({"name": "two", "overwrite_cache": True}, module.main, 2, 3, "a")
    found = of_measure(flyte_local, "two")
    assert found.verdict == "ran"
    assert "overwrite_cache" in found.reason
