"""A script that knows nothing of tasks runs as one."""

from __future__ import annotations

from pathlib import Path

import pytest

import flyte_ray as flyte
from flyte_ray.client import session
from flyte_ray.errors import RuntimeUserError
from flyte_ray.testing.harness import LocalHarness, flyte_local

__all__ = ["flyte_local"]

SCRIPT = """
import sys
from pathlib import Path
import beside
print("arguments:", *sys.argv[1:])
names = sorted(path.name for path in Path().glob("[!_]*"))
print(beside.WORD, Path("data/numbers.txt").read_text(), names)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def script(flyte_local: LocalHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session, "_session", session._session)
    flyte.init(store=str(tmp_path / "store"), mode="local")
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "project" / "data" / "numbers.txt").write_text("1 2")
    (tmp_path / "project" / "beside.py").write_text("WORD = 'hello'\n")
    path = tmp_path / "project" / "work.py"
    path.write_text(SCRIPT)
    return path


WITH = {"include_files": ["*.py", "data"]}


def test_it_runs_among_its_files_and_what_it_prints_is_recorded(script: Path) -> None:
    run = flyte.run_python_script(script, extra_args=["a", "0"], name="scripted", **WITH)
    assert run.name == "scripted" and run.outputs() == (0,)
    assert list(run.get_logs()) == [
        "arguments: a 0",
        "hello 1 2 ['beside.py', 'data', 'work.py']",
    ]
    script.write_text("raise SystemExit(3)")
    again = flyte.rerun("scripted")
    assert again.outputs() == (0,), "the record has the script as it was"


def test_one_that_fails_says_what_it_printed_last(script: Path) -> None:
    with pytest.raises(RuntimeUserError, match=r"work\.py ended with exit code 4:\n.*") as caught:
        flyte.run_python_script(script, extra_args=["a", "4"], **WITH)
    assert caught.value.code == "ScriptFailed"
    assert "arguments: a 4" in str(caught.value)


def test_packages_are_an_image(script: Path) -> None:
    run = flyte.run_python_script(script, image=["numpy"], extra_args=["a", "0"], **WITH)
    assert run.outputs() == (0,)


def test_what_is_not_there_and_what_would_do_nothing_is_refused(script: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flyte.run_python_script(script.with_name("nowhere.py"))
    with pytest.raises(FileNotFoundError, match="nothing to include"):
        flyte.run_python_script(script, include_files=["*.csv"])
    with pytest.raises(ValueError, match="clustered"):
        flyte.run_python_script(script, clustered=True)
    with pytest.raises(TypeError, match="colour"):
        flyte.run_python_script(script, colour="red")  # type: ignore[call-arg]
