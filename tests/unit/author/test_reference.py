"""How tasks are found again: by module, by script, by value."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cloudpickle
import pytest

import flyte_ray as flyte
from flyte_ray.author import reference
from flyte_ray.author.reference import MAIN_ALIAS, address_of, dump_by_value, load, load_by_value
from flyte_ray.core.address import TaskAddress
from flyte_ray.errors import ModuleLoadError
from tests.unit.author.fake_controller import in_action

MODULE = """
import flyte_ray as flyte

env = flyte.TaskEnvironment("{name}")

@env.task(retries=1)
async def step(x: int) -> int:
    return x + 1

renamed = env.task(lambda: 1)

class Steps:
    @env.task
    def method(self: int) -> int:
        return self

def factory(n):
    @env.task
    def made(x: int) -> int:
        return x + n
    return made

print("executed")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "steps_of_test.py").write_text(MODULE.format(name="steps"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("steps_of_test")
    del sys.modules["steps_of_test"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A script; whatever `__main__` meant before is restored."""
    path = tmp_path / "workflow.py"
    path.write_text(MODULE.format(name="script"))
    before = {name: sys.modules[name] for name in ("__main__", MAIN_ALIAS)}
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield path
    sys.modules.update(before)


def closure(n: int) -> flyte.TaskTemplate[[int], int]:
    env = flyte.TaskEnvironment("closures")

    @env.task
    def add(x: int) -> int:
        """Add what was closed over."""
        return x + n

    return add


# ---------------------------------------------------------------------------------- by address


def test_a_task_of_a_module_is_named_by_module_and_name(module: ModuleType) -> None:
    address = address_of(module.step)
    assert address == TaskAddress(name="steps.step", module="steps_of_test")
    assert load(address) is module.step


def test_methods_and_renamed_tasks_are_found_too(module: ModuleType) -> None:
    for task in (module.Steps.method, module.renamed):
        assert load(task.address) is task


def test_an_importable_task_is_pickled_by_its_address(module: ModuleType) -> None:
    assert pickle.loads(pickle.dumps(module.step)) is module.step
    assert b"x + 1" not in pickle.dumps(module.step)


def test_an_overridden_task_keeps_its_options_and_its_base(module: ModuleType) -> None:
    again = pickle.loads(pickle.dumps(module.step.override(retries=5, short_name="s")))
    assert (again.retries.count, again.short_name) == (5, "s")
    assert again.func is module.step.func
    assert again.parent_env() is module.env


def test_a_made_task_is_not_taken_for_its_modules(module: ModuleType) -> None:
    assert address_of(module.factory(3)).module is None


def test_a_task_that_the_module_holds_although_made_elsewhere_is_importable(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "made_here", module.factory(3), raising=False)
    assert load(address_of(module.made_here)) is module.made_here


def test_a_missing_module_names_path_and_remedy() -> None:
    with pytest.raises(ModuleLoadError, match=r"no_such_module.*sys\.path.*include="):
        load(TaskAddress(name="a.b", module="no_such_module"))


def test_a_missing_task_names_the_known_ones(module: ModuleType) -> None:
    with pytest.raises(ModuleLoadError, match=r"no task 'steps\.gone'.*steps\.step"):
        load(TaskAddress(name="steps.gone", module="steps_of_test"))


def test_a_module_that_fails_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleLoadError, match=r"ZeroDivisionError.*__main__") as caught:
        load(TaskAddress(name="a.b", module="failing_module"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_address_without_module_needs_the_blob() -> None:
    with pytest.raises(ModuleLoadError, match=r"code/x\.pkl"):
        load(TaskAddress(name="a.b", blob_key="code/x.pkl"))


# ------------------------------------------------------------------------------------- scripts


def test_a_script_is_executed_once_and_becomes_main(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = TaskAddress(name="script.step", module="__main__", file=str(script))
    task = load(address)
    assert load(address) is task
    assert capsys.readouterr().out == "executed\n"
    assert sys.modules["__main__"] is sys.modules[MAIN_ALIAS]
    assert sys.modules["__main__"].__name__ == MAIN_ALIAS
    assert pickle.loads(b"c__main__\nfactory\n.") is sys.modules["__main__"].factory
    assert str(script.parent) in sys.path


def test_a_task_of_a_loaded_script_has_the_scripts_address(script: Path) -> None:
    address = TaskAddress(name="script.step", module="__main__", file=str(script.resolve()))
    assert address_of(load(address)) == address


def test_an_edited_script_is_executed_again(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    address = TaskAddress(name="script.step", module="__main__", file=str(script))
    before = load(address)
    script.write_text(script.read_text().replace("x + 1", "x + 2"))
    after = load(address)
    assert (asyncio.run(before.func(1)), asyncio.run(after.func(1))) == (2, 3)
    assert before.identity != after.identity


def test_a_script_that_fails_leaves_main_as_it_was(script: Path) -> None:
    before = sys.modules["__main__"]
    script.write_text("import sys; sys.exit(3)")
    with pytest.raises(ModuleLoadError, match="SystemExit"):
        load(TaskAddress(name="script.step", module="__main__", file=str(script)))
    assert sys.modules["__main__"] is before


def test_a_script_that_is_not_there_names_the_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match="code bundle"):
        load(TaskAddress(name="a.b", module="__main__", file=str(tmp_path / "gone.py")))


def python(*arguments: str, cwd: Path) -> list[str]:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_the_driver_names_another_process_finds(tmp_path: Path) -> None:
    """One driver, as a script and by `-m`; one worker that loads what it is told."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    driver = textwrap.dedent(
        """
        import dataclasses, pickle, sys
        import flyte_ray as flyte
        env = flyte.TaskEnvironment("driver")

        @dataclasses.dataclass
        class Point:
            x: int

        @env.task
        def shift(p: Point) -> Point:
            return Point(p.x + 1)

        if __name__ == "__main__":
            a = shift.address
            assert flyte.author_load(a) is shift
            print(a.module, a.file, shift.identity)
            with open("call.pkl", "wb") as file:
                pickle.dump((a, dict(p=Point(1))), file)
        """
    ).replace("flyte.author_load", "__import__('flyte_ray.author.reference', fromlist=['x']).load")
    worker = textwrap.dedent(
        """
        import pickle, pickletools, sys
        from flyte_ray.author.reference import load
        data = open("call.pkl", "rb").read()
        sys.path.insert(0, ".")
        from flyte_ray.core.address import TaskAddress
        name, module, file = sys.argv[1:]
        task = load(TaskAddress(name=name, module=module, file=file))
        address, inputs = pickle.loads(data)
        result = task(**inputs)
        assert type(result) is type(inputs["p"]), "classes of __main__ are the script's"
        assert task.address == address, (task.address, address)
        print(result.x, task.identity)
        """
    )
    (tmp_path / "pkg" / "job.py").write_text(driver)
    (tmp_path / "worker.py").write_text(worker)
    for start in (["pkg/job.py"], ["-m", "pkg.job"]):
        module, file, identity = python(*start, cwd=tmp_path)[0].split()
        assert module == ("pkg.job" if "-m" in start else "__main__")
        assert Path(file) == tmp_path / "pkg" / "job.py"
        assert python("worker.py", "driver.shift", module, file, cwd=tmp_path) == [f"2 {identity}"]


# ------------------------------------------------------------------------------------ by value


def test_a_closure_travels_by_value_with_its_identity() -> None:
    task = closure(5)
    again = load_by_value(dump_by_value(task))
    assert again is not task
    assert again.func(1) == 6
    assert (again.name, again.identity) == (task.name, task.identity)
    assert again.address.module is None


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_any_pickler_takes_it(pickler: ModuleType) -> None:
    again = pickle.loads(pickler.dumps(closure(5).override(retries=2, cache="auto")))
    assert again(1) == 6
    assert again.retries.count == 2
    assert again.parent_env is None
    assert again.parent_env_name == "closures"
    assert again.__doc__ == "Add what was closed over."


def test_the_cache_version_goes_along() -> None:
    task = closure(5).override(cache="auto")
    assert load_by_value(dump_by_value(task)).cache_version == task.cache_version


def test_a_task_that_calls_itself_and_another_travels() -> None:
    env = flyte.TaskEnvironment("recursive")

    @env.task
    def down(n: int) -> int:
        return other(n) if n == 0 else down(n - 1)

    @env.task
    def other(n: int) -> int:
        return n + 100

    again = load_by_value(dump_by_value(down))
    with in_action() as controller:
        assert again.func(2) == 100
    names = [each.task for each in controller.asked]
    assert names == ["recursive.down", "recursive.down", "recursive.other"]


def test_a_traced_step_is_known_by_its_module_where_that_is_not(tmp_path: Path) -> None:
    text = """
        import flyte_ray as flyte
        RATE = 2
        @flyte.trace
        async def noted(x: int) -> int:
            return x * RATE
        """
    sender = """
        import inspect, sys, cloudpickle, steps
        stored = sys.modules.pop("steps").noted  # as that of a run whose stored code was loaded
        print(cloudpickle.dumps(stored).hex())
        print(inspect.getclosurevars(stored).nonlocals["step"].identity)
        """
    receiver = """
        import inspect, pickle, sys
        noted = pickle.loads(bytes.fromhex(sys.argv[1]))
        print(inspect.getclosurevars(noted).nonlocals["step"].identity)
        """
    (tmp_path / "steps.py").write_text(textwrap.dedent(text))
    data, identity = python("-c", textwrap.dedent(sender), cwd=tmp_path)
    (tmp_path / "steps.py").unlink()
    assert python("-c", textwrap.dedent(receiver), data, cwd=tmp_path) == [identity]


def test_copies_keep_the_environment() -> None:
    task = closure(1)
    env = flyte.TaskEnvironment("kept")
    task.adopt(env, "kept")
    for twin in (copy.copy(task), copy.deepcopy(task)):
        assert twin is not task
        assert twin.parent_env is not None
        assert twin.parent_env() is env


def test_by_value_is_not_left_switched_on() -> None:
    env = flyte.TaskEnvironment("bad")

    @env.task
    def f(x: int) -> object:
        return lock

    lock = __import__("threading").Lock()
    with pytest.raises(TypeError, match="lock"):
        dump_by_value(f)
    assert not reference.is_dumping_by_value()
