"""Modules that are loaded again under way, by hand or by `%autoreload`: the new code counts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flyte_ray.author.live_code import forget_live_code
from flyte_ray.core import reloading
from flyte_ray.core.fingerprint import code_digest

HELPERS = """
LIMIT = 1
def scale(x):
    return x * RATE
RATE = 2
class Box:
    size = 1
    def open(self):
        return self.size
def make(n):
    def made(x):
        return x + n
    return made
"""
STEPS = """
import flyte_ray
import mill
from mill import LIMIT, Box, scale
env = flyte_ray.TaskEnvironment(name="again", cache="auto")
@env.task
def by_module(x: int) -> int:
    return mill.scale(x)
@env.task
def by_name(x: int) -> int:
    return scale(x)
@env.task
def constant(x: int) -> int:
    return LIMIT
@env.task
def boxed(x: int) -> int:
    return Box().open()
@env.task
def itself(x: int) -> int:
    return x + 1
@env.task
def above(x: int) -> int:
    return by_module(x)
@flyte_ray.trace
def step(x: int) -> int:
    return mill.scale(x)
"""
ALL = ("by_module", "by_name", "constant", "boxed", "itself", "above")


class Mill:
    """The two modules, loaded, and what becomes of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("mill", HELPERS)
        self.write("mill_steps", STEPS)
        self.steps: ModuleType = importlib.import_module("mill_steps")
        self.helpers: ModuleType = importlib.import_module("mill")

    def write(self, module: str, text: str) -> None:
        (self.root / f"{module}.py").write_text(text)

    def edit(self, old: str, new: str) -> None:
        assert old in HELPERS
        self.write("mill", HELPERS.replace(old, new))
        importlib.reload(self.helpers)

    def identities(self) -> dict[str, str]:
        forget_live_code()
        return {name: getattr(self.steps, name).identity for name in ALL}


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mill]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(reloading, "_again", set())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Mill(tmp_path)
    for name in ("mill", "mill_steps"):
        sys.modules.pop(name, None)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in ALL if before[name] != after[name]}


def test_an_edit_that_was_loaded_again_is_seen_by_the_tasks_that_reach_it(mill: Mill) -> None:
    before = mill.identities()
    step = code_digest(mill.steps.step)
    version = mill.steps.by_module.cache_version
    mill.edit("RATE = 2", "RATE = 3")
    assert changed(before, mill.identities()) == {"by_module", "by_name", "above"}
    assert code_digest(mill.steps.step) != step
    assert mill.steps.by_module.cache_version != version


def test_what_was_loaded_again_before_anybody_asked_is_not_taken_for_the_new_code(
    mill: Mill,
) -> None:
    mill.edit("x * RATE", "x - RATE")
    held = mill.identities()["by_name"]
    again = importlib.reload(mill.steps)  # takes the new `scale`
    assert mill.steps is again
    assert mill.identities()["by_name"] != held


def test_loading_again_what_nobody_edited_changes_nothing(mill: Mill) -> None:
    before = mill.identities()
    importlib.reload(mill.helpers)
    importlib.reload(mill.steps)
    assert changed(before, mill.identities()) == set()


def test_within_a_run_all_calls_see_one_state(mill: Mill) -> None:
    before = mill.identities()
    mill.edit("RATE = 2", "RATE = 3")
    assert before == {name: getattr(mill.steps, name).identity for name in ALL}


@pytest.mark.parametrize(
    ("task", "old", "new"),
    [
        ("by_name", "x * RATE", "x - RATE"),
        ("constant", "LIMIT = 1", "LIMIT = 5"),
        ("boxed", "return self.size", "return -self.size"),
        ("boxed", "size = 1", "size = 7"),
    ],
)
def test_what_still_runs_the_old_code_is_not_taken_for_the_new(
    task: str, old: str, new: str, mill: Mill
) -> None:
    mill.edit(old, new)
    held = mill.identities()[task]
    importlib.reload(mill.steps)
    assert mill.identities()[task] != held


def test_an_old_task_is_not_taken_for_the_one_that_followed_it(mill: Mill) -> None:
    old = mill.steps.itself
    before = mill.identities()["itself"]
    mill.write("mill_steps", STEPS.replace("x + 1", "x + 2"))
    importlib.reload(mill.steps)
    after = mill.identities()["itself"]
    assert after != before
    assert old.identity != after


def test_functions_mended_in_place_are_new_code(mill: Mill) -> None:
    """`%autoreload` gives the old function and the old class's methods the new code."""
    scale, box = mill.helpers.scale, mill.helpers.Box
    mill.edit("x * RATE", "x - RATE")
    scale.__code__ = mill.helpers.scale.__code__
    box.open.__code__ = mill.helpers.Box.open.__code__
    mended = mill.identities()
    importlib.reload(mill.steps)
    assert changed(mended, mill.identities()) == set()


def test_closures_of_a_factory_are_told_apart_too(mill: Mill) -> None:
    old: Callable[[int], int] = mill.helpers.make(1)
    mill.edit("x + n", "x - n")
    forget_live_code()
    assert code_digest(old) != code_digest(mill.helpers.make(1))
