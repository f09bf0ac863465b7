"""Code that changes between a run and its recovery, as between two starts of a script (item 7)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import ray

from tests.integration.contract.house import House

LIB = """
import uuid
from pathlib import Path
import flyte_ray as flyte

env = flyte.TaskEnvironment(name="edited_lib")

def leave(folder, name):
    (Path(folder) / f"{name}~{uuid.uuid4().hex}").touch()

@env.task
async def leaf_a(folder: str, x: int) -> int:
    leave(folder, "leaf_a")
    return x

@env.task
def leaf_b(folder: str, x: int) -> int:
    leave(folder, "leaf_b")
    raise ValueError("leaf_b is broken")
"""

MAIN = '''
import json, sys
from pathlib import Path
import flyte_ray as flyte
from lib import env as lib, leave, leaf_a, leaf_b

env = flyte.TaskEnvironment(name="edited_main", depends_on=[lib])

class Wrong(Exception):
    """Lives in the script."""

@env.task
async def leaf_c(folder: str, x: int) -> int:
    leave(folder, "leaf_c")
    return 1000

@flyte.trace
async def counted(x: int) -> int:
    return x

@env.task
async def mid(folder: str, x: int) -> int:
    leave(folder, "mid")
    saved = flyte.ctx().checkpoint
    before = await saved.load()
    times = await counted(1) + (int(before.read_text()) if before else 0)
    await saved.save(str(times).encode())
    Path(folder, "saved").write_text(str(times))
    return await leaf_a(folder, x) + await leaf_b.aio(folder, x)

@env.task
async def top(folder: str, x: int) -> int:
    leave(folder, "top")
    done = await leaf_c(folder, x)
    try:
        return done + await mid(folder, x)
    except ValueError as error:
        raise Wrong(str(error)) from error

if __name__ == "__main__":
    wishes = json.loads(sys.argv[1])
    runner = flyte.with_runcontext(wishes["mode"], name=wishes["name"])
    failed = None
    own = sys.modules["__main__"]
    try:
        if "source" in wishes:
            run = runner.rerun(wishes["source"], **wishes["options"])
        else:
            run = runner.run(top, wishes["folder"], x=1)
        run.wait(quiet=True)
        run.raise_for_status()
    except flyte.errors.RuntimeUserError as error:
        failed = f"{error.code}: {error}"
        assert isinstance(error, Wrong) or wishes["options"] == {"code": "stored"}
        run = flyte.remote.Run.get(wishes["name"])
    assert sys.modules["__main__"] is own
    phases = {action.name: action.phase for action in run.actions()}
    output = run.outputs()[0] if failed is None else None
    saved = int(Path(wishes["folder"], "saved").read_text())
    said = {"output": output, "failed": failed, "phases": phases, "saved": saved}
    Path(wishes["answer"]).write_text(json.dumps(said))
'''

FIXED = ('raise ValueError("leaf_b is broken")', "return 10 * x")
LEAF = ("    return x\n", "    return x + 1\n")
NOTED = ('"""Lives in the script."""', '"""Lives in the script, still."""  # a remark')
ADDED = ("return await leaf_a(folder, x) +", "return 5 + await leaf_a(folder, x) +")


class Project:
    """A folder with a script and a module, started as a user starts them."""

    def __init__(self, house: House, folder: Path, marks: str) -> None:
        self.folder, self.marks, self._house = folder, marks, house
        folder.mkdir()
        (folder / "lib.py").write_text(LIB)
        (folder / "main.py").write_text(MAIN)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def start(self, name: str, **wishes: Any) -> dict[str, Any]:
        """Run the script; what it says."""
        answer = self.folder.with_name("answer.json")  # on stdout Ray speaks, too
        answer.unlink(missing_ok=True)
        wishes |= {"mode": self._house.mode, "name": self.run_name(name), "folder": self.marks}
        wishes["answer"] = str(answer)
        if "source" in wishes:
            wishes["source"] = self.run_name(wishes["source"])
        variables = os.environ | {
            "FLYTE_RAY_STORE": str(self._house.store),
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self._house.mode == "remote":
            variables["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
        ended = subprocess.run(
            [sys.executable, "main.py", json.dumps(wishes)],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        said: dict[str, Any] = json.loads(answer.read_text())
        return said

    def run_name(self, name: str) -> str:
        return f"{name}-{Path(self.marks).name}"

    def take_marks(self) -> Counter[str]:
        """What was executed since this was asked last."""
        found = list(Path(self.marks).glob("*~*"))
        for path in found:
            path.unlink()
        return Counter(path.name.partition("~")[0] for path in found)


@pytest.fixture
def project(house: House, tmp_path: Path, marks: str) -> Project:
    return Project(house, tmp_path / "project", marks)


@pytest.mark.timeout(300)  # on Ray every state of the code has workers of its own
def test_recovery_runs_what_was_edited_and_adopts_the_rest(project: Project) -> None:
    first = project.start("first")
    assert first["failed"] == "Wrong: leaf_b is broken"
    assert project.take_marks() == dict.fromkeys(("top", "leaf_c", "mid", "leaf_a", "leaf_b"), 1)

    project.edit("lib.py", *FIXED)
    project.edit("main.py", *NOTED)
    fixed = project.start("fixed", source="first", options={"recover": True})
    assert fixed["output"] == 1011
    assert project.take_marks() == {"top": 1, "mid": 1, "leaf_b": 1}
    assert fixed["phases"] == {
        "top": "succeeded",
        "leaf_c": "recovered",
        "mid": "succeeded",
        "leaf_a": "recovered",
        "leaf_b": "succeeded",
        "counted": "recovered",
    }

    project.edit("lib.py", *LEAF)
    below = project.start("below", source="fixed", options={"recover": True})
    assert below["output"] == 1012, "nothing of before the edit is left in what was adopted"
    assert project.take_marks() == {"top": 1, "mid": 1, "leaf_a": 1}
    assert below["phases"]["leaf_b"] == below["phases"]["leaf_c"] == "recovered"
    assert below["phases"]["counted"] == "recovered", "a step in a task above the edited one"
    assert (first["saved"], fixed["saved"], below["saved"]) == (1, 2, 3), "so is what it had saved"
    project.edit("lib.py", *reversed(LEAF))

    project.edit("main.py", *ADDED)
    middle = project.start("middle", source="fixed", options={"recover": True})
    assert middle["output"] == 1016
    assert project.take_marks() == {"top": 1, "mid": 1}, "its untouched children are adopted"
    assert middle["phases"]["leaf_a"] == middle["phases"]["leaf_b"] == "recovered"

    stored = project.start("stored", source="first", options={"code": "stored"})
    assert stored["failed"] == "Wrong: leaf_b is broken", "the code of the source run"
    assert project.take_marks()["leaf_b"] == 1


CACHED = """
import json, sys
import flyte_ray as flyte

env = flyte.TaskEnvironment(name="edited_cached", cache="auto")

@env.task
def step(x: int) -> int:
    return x + 1

@env.task(cache=flyte.Cache("override", version_override="1"))
def fixed(x: int) -> int:
    return 0

@env.task
async def above(x: int) -> int:
    return await step.aio(x)

@env.task
async def beside(x: int) -> int:
    return 10 * x + await fixed.aio(x)

@env.task
async def even(n: int) -> bool:
    return n == 0 or await odd(n - 1)

@env.task
async def odd(n: int) -> bool:
    return n != 0 and await even(n - 1)

@env.task
async def top(x: int) -> int:
    return await above(x) + await beside(x) + await even(x)

if __name__ == "__main__":
    run = flyte.with_runcontext("local", name=sys.argv[1]).run(top, 2)
    ran = [each.name for each in run.actions() if not each.cached]
    print(json.dumps([run.outputs()[0], sorted(ran)]))
"""


@pytest.mark.parametrize(
    ("old", "new", "answer", "ran"),
    [
        ("x + 1", "x + 1  # a remark", 24, []),
        ("x + 1", "x + 2", 25, ["above", "step", "top"]),
        ("10 * x", "20 * x", 44, ["beside", "top"]),
        ('version_override="1"', 'version_override="2"', 24, ["beside", "fixed", "top"]),
        ("n != 0 and", "n > 0 and", 24, ["even", "even", "odd", "top"]),
        ("n == 0 or", "n < 1 or", 24, ["even", "even", "odd", "top"]),
    ],
    ids=["remark", "leaf", "sibling", "version", "recursion", "the other of the two"],
)
def test_no_task_is_answered_from_the_cache_with_the_code_below_it_of_before(
    local_house: House, tmp_path: Path, old: str, new: str, answer: int, ran: list[str]
) -> None:
    script = tmp_path / "cached.py"

    def start(name: str) -> Any:
        variables = {**os.environ, "FLYTE_RAY_STORE": str(tmp_path / "store")}
        variables["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
        command = [sys.executable, str(script), name]
        return json.loads(subprocess.check_output(command, env=variables, text=True))

    script.write_text(CACHED)
    assert start("one")[0] == 24
    assert start("two") == [24, []]
    assert CACHED.count(old) == 1
    script.write_text(CACHED.replace(old, new))
    assert start("three") == [answer, ran]


def test_a_plain_rerun_can_take_the_code_of_today(
    local_house: House, tmp_path: Path, marks: str
) -> None:
    project = Project(local_house, tmp_path / "project", marks)
    assert project.start("first")["failed"]
    project.edit("lib.py", *FIXED)
    project.take_marks()
    current = project.start("current", source="first", options={"code": "current"})
    assert current["output"] == 1011
    assert set(current["phases"].values()) == {"succeeded"}
    assert sum(project.take_marks().values()) == 5
