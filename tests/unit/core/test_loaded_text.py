"""The code in memory is what counts, not what a file has become since."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flyte_ray.author.live_code import forget_live_code
from flyte_ray.core.loaded_text import read_loaded

HELPERS = "RATE = 2\ndef scale(x):\n    return x * RATE\n"
STEPS = """
import flyte_ray
import kiln
env = flyte_ray.TaskEnvironment(name="loaded", cache="auto")
@env.task
def step(x: int) -> int:
    return kiln.scale(x)
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Writes the two modules and imports the tasks, as a process of their own would."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        for name in ("kiln", "kiln_steps"):
            sys.modules.pop(name, None)

    def make(helpers: str) -> ModuleType:
        forget()
        importlib.invalidate_caches()
        (tmp_path / "kiln.py").write_text(helpers)
        (tmp_path / "kiln_steps.py").write_text(STEPS)
        return importlib.import_module("kiln_steps")

    yield make
    forget()


def test_a_helper_that_is_edited_before_the_first_run_is_what_was_loaded(
    load: Callable[..., ModuleType], tmp_path: Path
) -> None:
    untouched = load(HELPERS).step.identity
    edited = load(HELPERS)
    (tmp_path / "kiln.py").write_text(HELPERS.replace("2", "9"))
    assert edited.step(5) == 10
    assert edited.step.identity == untouched
    assert load(HELPERS.replace("2", "9")).step.identity != untouched


def test_a_helper_that_is_edited_after_it_was_loaded_again_is_what_was_loaded(
    load: Callable[..., ModuleType], tmp_path: Path
) -> None:
    nine = load(HELPERS.replace("2", "9")).step.identity
    steps = load(HELPERS)
    (tmp_path / "kiln.py").write_text(HELPERS.replace("2", "9"))
    importlib.reload(sys.modules["kiln"])
    forget_live_code()
    (tmp_path / "kiln.py").write_text(HELPERS.replace("2", "11"))
    assert steps.step.identity == nine


def test_a_lazy_module_is_not_loaded_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kiln_lazy.py"
    file.write_text("raise RuntimeError('nobody asked for it')\n")
    spec = importlib.util.spec_from_file_location("kiln_lazy", file)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "kiln_lazy", module)
    read_loaded()
    with pytest.raises(RuntimeError, match="nobody asked"):
        _ = module.anything
