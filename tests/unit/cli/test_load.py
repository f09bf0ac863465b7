"""A file becomes a module with tasks; what goes wrong is told with file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyte_ray.author.reference import address_of
from flyte_ray.cli.load import load_file
from flyte_ray.errors import ModuleLoadError, UsageError

FLOW = """
from flyte_ray.author.environment import TaskEnvironment

env = TaskEnvironment(name="load_test")


@env.task
def step(x: int) -> int:
    return x


@env.task
def main(n: int = 1) -> int:
    return step(n)


again = main

if __name__ == "__main__":
    raise RuntimeError("this is no script run")
"""


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_tasks_are_listed_once_in_the_order_of_definition(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "flow_a.py", FLOW))
    assert list(loaded.tasks) == ["step", "main"]


def test_a_task_is_found_by_variable_or_full_name(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "flow_b.py", FLOW))
    assert loaded.find("main") is loaded.tasks["main"]
    assert loaded.find("load_test.main") is loaded.tasks["main"]
    assert loaded.find("nothing") is None


def test_workers_find_the_task_by_module_and_name(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "flow_c.py", FLOW))
    address = address_of(loaded.tasks["main"])
    assert (address.module, address.file, address.name) == ("flow_c", None, "load_test.main")


def test_siblings_import_as_they_do_for_a_script(tmp_path: Path) -> None:
    write(tmp_path / "sibling_d.py", "VALUE = 1\n")
    load_file(write(tmp_path / "flow_d.py", "from sibling_d import VALUE\n" + FLOW))
    assert sys.modules["flow_d"].VALUE == 1


def test_a_file_in_a_package_goes_by_its_dotted_name(tmp_path: Path) -> None:
    write(tmp_path / "pkg_e/__init__.py", "")
    write(tmp_path / "pkg_e/other.py", "VALUE = 2\n")
    file = write(tmp_path / "pkg_e/flow.py", "from pkg_e.other import VALUE\n" + FLOW)
    assert load_file(file).module.__name__ == "pkg_e.flow"


def test_a_given_root_decides_the_name(tmp_path: Path) -> None:
    file = write(tmp_path / "src_f/flows/flow.py", FLOW)
    assert load_file(file, root_dir=tmp_path).module.__name__ == "src_f.flows.flow"


def test_imported_tasks_come_after_the_files_own(tmp_path: Path) -> None:
    write(tmp_path / "lib_g.py", FLOW)
    file = write(
        tmp_path / "flow_g.py", "from lib_g import step\n" + FLOW.replace("def step", "def own")
    )
    loaded = load_file(file)
    assert list(loaded.tasks) == ["own", "main", "step"]
    assert list(loaded.own_tasks) == ["own", "main"]


def test_a_syntax_error_is_told_with_file_line_and_text(tmp_path: Path) -> None:
    file = write(tmp_path / "flow_h.py", "x = 1\ndef broken(:\n    pass\n")
    with pytest.raises(ModuleLoadError) as caught:
        load_file(file)
    assert f"{file}:2" in str(caught.value)
    assert "def broken(:" in str(caught.value)


def test_an_error_while_importing_is_told_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path / "flow_i.py", "x = 1\ny = {}['gone']\n")
    with pytest.raises(ModuleLoadError) as caught:
        load_file(file)
    assert f"{file}:2: KeyError: 'gone'" in str(caught.value)


def test_a_file_that_exits_is_an_error_not_an_exit(tmp_path: Path) -> None:
    file = write(tmp_path / "flow_j.py", "raise SystemExit(0)\n")
    with pytest.raises(ModuleLoadError, match="SystemExit"):
        load_file(file)


def test_a_missing_package_and_a_flyte_file_are_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match="Install 'no_such_package'"):
        load_file(write(tmp_path / "flow_k.py", "import no_such_package.sub\n"))
    with pytest.raises(ModuleLoadError, match="--flyte-alias"):
        load_file(write(tmp_path / "flow_l.py", "import flyte\n"))


def test_a_name_that_belongs_to_another_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match="Rename the file"):
        load_file(write(tmp_path / "json.py", FLOW))


@pytest.mark.parametrize("name", ["nowhere.py", "notes.txt"])
def test_what_is_no_python_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    write(tmp_path / "notes.txt", "")
    with pytest.raises(UsageError, match=name):
        load_file(tmp_path / name)


def test_a_file_outside_of_the_root_is_a_usage_error(tmp_path: Path) -> None:
    file = write(tmp_path / "a/flow_m.py", FLOW)
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="root-dir"):
        load_file(file, root_dir=tmp_path / "b")
