"""The commands that ask the record: each says what it does, with an example."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.main import answer, open_backend
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.client.explain import flows
from tests.unit.client.explain.stage import command, run

__all__ = ["flyte_local"]

Captured = pytest.CaptureFixture[str]
COMMANDS = ("sql", "lineage", "why", "diff", "plan", "replay")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str, capsys: Captured) -> None:
    assert answer([name, "--help"], Invocation(open_backend)) == 0
    text = capsys.readouterr().out
    assert f"Example:  flyte-ray {name} " in text


def test_help_reads_no_record() -> None:
    script = (
        "import sys; from flyte_ray.cli import explain;"
        "print(*(m for m in ('pyarrow', 'duckdb', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["lineage", "why", "replay"])
def test_an_unknown_action_is_a_wrong_call(
    flyte_local: LocalHarness, capsys: Captured, name: str
) -> None:
    run(flyte_local, "one", flows.fetch, "Oslo")
    capsys.readouterr()
    assert command(flyte_local, name, "one/nobody") == 2
    assert "no action 'nobody'" in " ".join(capsys.readouterr().err.split())


def test_why_is_told_in_words_and_as_json(flyte_local: LocalHarness, capsys: Captured) -> None:
    run(flyte_local, "one", flows.fetch, "Oslo")
    run(flyte_local, "two", flows.fetch, "Lima")
    capsys.readouterr()
    assert command(flyte_local, "why", "two") == 0
    text = capsys.readouterr().out
    assert "differs in input city." in " ".join(text.split())
    assert '  input city  "Oslo" → "Lima"' in text.splitlines()
    assert command(flyte_local, "why", "two", "-o", "json") == 0
    assert '"verdict": "ran"' in capsys.readouterr().out
