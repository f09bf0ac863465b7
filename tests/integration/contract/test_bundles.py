"""The code of a run travels with it: typed cells by value, included files, stored code (item 5)."""

from __future__ import annotations

import linecache
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyte_ray.core.ids import RunName
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.references import References, of_run
from flyte_ray.store.unused_code import all_code
from tests.integration.contract.house import House, only

HELPERS = "RATE = 10\ndef scaled(x):\n    return x * RATE\n"
TASKS = """
import flyte_ray as flyte
env = flyte.TaskEnvironment("cells")
@env.task(cache="auto")
async def leaf(x: int) -> int:
    return scaled(x)
@env.task
async def top(x: int) -> int:
    return await leaf(x) + 1
@env.task(cache="auto")
async def above(x: int) -> int:
    return await top(x)
"""
LEAF = """
@env.task(cache="auto")
async def leaf(x: int) -> int:
    return x + 7
"""


@pytest.fixture
def cell() -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Runs a notebook's cell: its source is known to `linecache` alone."""
    count = iter(range(1000))

    def run(text: str, names: dict[str, Any]) -> dict[str, Any]:
        file = f"<ipython-input-{next(count)}-{abs(hash(text))}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        names.setdefault("__name__", "__main__")
        exec(compile(text, file, "exec"), names)
        return names

    return run


def test_tasks_of_a_notebook_run_and_know_their_own_cells(
    house: House, marks: str, cell: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> None:
    x = abs(hash(marks)) % 10**6
    notebook = cell(TASKS, cell(HELPERS, {}))
    first = house.finish(notebook["top"], x)
    first.raise_for_status()
    assert first.outputs()[0] == x * 10 + 1

    cell("# another cell\nunrelated = 1\n", notebook)
    again = house.finish(cell(TASKS, notebook)["top"], x)
    assert only(again, "leaf").cached, "no cell that it reaches has changed"
    assert only(again, "leaf").identity == only(first, "leaf").identity

    cell(HELPERS.replace("10", "20"), notebook)
    edited = house.finish(cell(TASKS, notebook)["top"], x)
    assert edited.outputs()[0] == x * 20 + 1

    assert house.result(notebook["above"], x) == x * 20 + 1
    cell("RATE = 30\n", notebook)
    assert house.result(notebook["above"], x) == x * 30 + 1, "no cell of a task was executed again"
    cell(LEAF, notebook)
    assert house.result(notebook["above"], x) == x + 8, "nor the one of the task above"
    assert only(house.finish(notebook["above"], x), "above").cached

    old = house.rerun(first)
    assert old.outputs()[0] == x * 10 + 1


def test_the_record_of_a_run_names_all_code_that_it_sent_by_value(
    house: House, marks: str, cell: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> None:
    store = open_blobs(str(house.store))
    before = set(all_code(store))
    notebook = cell(TASKS, cell(f"{HELPERS}MARKS = {marks!r}\n", {}))
    run = house.finish(notebook["top"], abs(hash(marks)) % 10**6)
    run.raise_for_status()
    named = References()
    of_run(store, RunName(run.name), named)
    assert {*all_code(store)} - before <= named.code
    sent = [key for key in named.code if key.endswith(".pkl")]
    assert len(sent) == (2 if house.mode == "remote" else 1), "a child is sent as the root is"


def test_a_rerun_has_the_code_and_the_included_files_of_its_source(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"bundled_{house.mode}"
    module = tmp_path / f"{name}.py"
    text = textwrap.dedent(
        f"""
        from pathlib import Path
        import flyte_ray as flyte
        env = flyte.TaskEnvironment("{name.replace("_", "-")}", include=("words.txt",))
        @env.task
        async def read() -> str:
            return "one " + (Path(__file__).parent / "words.txt").read_text()
        """
    )
    module.write_text(text)
    (tmp_path / "words.txt").write_text("old")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    task = __import__(name).read
    run = house.finish(task)
    run.raise_for_status()
    assert run.outputs()[0] == "one old"
    module.write_text(text.replace("one", "two"))
    (tmp_path / "words.txt").write_text("new")
    assert house.rerun(run, code="stored").outputs()[0] == "one old"
    del sys.modules[name]
