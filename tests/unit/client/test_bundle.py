"""The code of a run as an archive: complete, small, and the same for the same files."""

from __future__ import annotations

import io
import os
import runpy
import socket
import sys
import types
import zipfile
from pathlib import Path

import pytest

from flyte_ray.author import registry
from flyte_ray.client import bundle
from flyte_ray.client.bundle import (
    all_files,
    archive,
    code_root,
    included_files,
    loaded_files,
    ship,
)
from flyte_ray.core.digest import digest_bytes
from flyte_ray.errors import CodeBundleError
from flyte_ray.store.unused_code import mark_code, sweep_code
from tests.unit.store.stores import DictBlobs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "main.py": "import pkg.mod\n",
        "pkg/__init__.py": "",
        "pkg/mod.py": "X = 1\n",
        "data.json": "{}",
        ".venv/lib/site.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/other.py": "",
        "pkg/__pycache__/mod.cpython-311.pyc": "",
        ".git/config": "",
        "lib/site-packages/dep.py": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(root)
    return root


def load(monkeypatch: pytest.MonkeyPatch, name: str, file: Path) -> None:
    module = types.ModuleType(name)
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, name, module)


def names(root: Path, files: set[Path]) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in files)


def test_loaded_modules_below_the_root_are_taken(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load(monkeypatch, "pkg.mod", project / "pkg/mod.py")
    load(monkeypatch, "dep", project / "lib/site-packages/dep.py")
    load(monkeypatch, "elsewhere", tmp_path / "elsewhere.py")
    load(monkeypatch, "gone", project / "gone.py")
    load(monkeypatch, "flyte_ray.imaginary", project / "main.py")
    assert names(project, loaded_files(project)) == ["pkg/mod.py"]


def test_all_files_leaves_out_caches_repositories_and_environments(project: Path) -> None:
    assert names(project, all_files(project)) == [
        "data.json",
        "main.py",
        "pkg/__init__.py",
        "pkg/mod.py",
    ]


def test_links_are_left_out(project: Path) -> None:
    (project / "link.py").symlink_to(project / "main.py")
    assert "link.py" not in names(project, all_files(project))


def test_the_same_files_make_the_same_archive(project: Path) -> None:
    files = all_files(project)
    first = archive(project, files)
    for path in files:
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert archive(project, sorted(files, reverse=True)) == first
    (project / "main.py").write_text("changed")
    assert archive(project, files) != first


def test_the_archive_holds_the_files_under_their_relative_names(project: Path) -> None:
    data = archive(project, [project / "pkg/mod.py"])
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.namelist() == ["pkg/mod.py"]
        assert found.read("pkg/mod.py") == b"X = 1\n"


def test_a_file_that_is_too_large_is_refused_with_the_remedies(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LARGEST_FILE_BYTES", 3)
    with pytest.raises(CodeBundleError, match=r"main\.py.*io\.File"):
        archive(project, [project / "main.py"])


def test_a_file_that_vanished_is_named(project: Path) -> None:
    with pytest.raises(CodeBundleError, match=r"gone\.py could not be read"):
        archive(project, [project / "gone.py"])


def test_the_root_is_what_the_author_says_else_the_working_directory(project: Path) -> None:
    assert code_root(project / "pkg") == project / "pkg"
    assert code_root(None) == project


def test_a_script_elsewhere_has_its_own_folder_as_root(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "scripts" / "run.py"
    script.parent.mkdir()
    script.write_text("")
    monkeypatch.setattr(bundle, "main_file", lambda: script)
    assert code_root(None) == script.parent
    (script.parent / "__init__.py").write_text("")
    assert code_root(None) == tmp_path, "it may import its package by name"


def test_shipping_stores_the_archive_under_its_digest_once(project: Path) -> None:
    blobs = DictBlobs()
    code = ship(blobs, copy_style="all")
    assert code.bundle_key == f"code/{code.digest}.zip"
    assert digest_bytes(blobs.get(code.bundle_key)) == code.digest
    assert (code.root, code.cwd, code.host) == (str(project), str(project), socket.gethostname())
    assert ship(blobs, copy_style="all") == code
    assert blobs.calls["put"] == 1


def test_import_roots_are_those_of_the_path_below_the_root(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = project / "src"
    src.mkdir()
    monkeypatch.setattr(sys, "path", [str(src), str(project), "/usr/lib", str(project / "gone")])
    assert ship(DictBlobs(), copy_style="all").import_roots == ("src", ".")


def test_code_that_was_about_to_be_removed_stays_for_the_run(project: Path) -> None:
    blobs = DictBlobs()
    key = ship(blobs, copy_style="all").bundle_key
    assert key is not None
    mark_code(blobs, [key])
    assert ship(blobs, copy_style="all").bundle_key == key
    assert sweep_code(blobs, now_us=2**60) == []
    assert blobs.exists(key)


def test_nothing_is_stored_when_nothing_is_to_be_shipped(project: Path) -> None:
    blobs = DictBlobs()
    code = ship(blobs, copy_style="none")
    assert (code.bundle_key, code.digest, blobs.objects) == (None, "", {})


def test_an_unknown_style_names_the_known_ones(project: Path) -> None:
    with pytest.raises(ValueError, match="loaded_modules, all, none"):
        ship(DictBlobs(), copy_style="everything")


# -------------------------------------------------------------------------------------- include


def make_environment(project: Path, include: str, name: str = "shop.py") -> None:
    (project / name).write_text(
        f"import flyte_ray\nenv = flyte_ray.TaskEnvironment('inc', include={include})\n"
    )
    runpy.run_path(str(project / name))


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    monkeypatch.setattr(registry, "_environments", made)
    return made


@pytest.mark.usefixtures("environments")
def test_included_files_folders_and_globs_come_on_top(project: Path) -> None:
    (project / "assets" / "deep").mkdir(parents=True)
    (project / "assets" / "deep" / "a.txt").write_text("a")
    (project / "q1.sql").write_text("")
    (project / "q2.sql").write_text("")
    make_environment(project, "('data.json', 'assets', '*.sql')")
    assert names(project, included_files(project)) == [
        "assets/deep/a.txt",
        "data.json",
        "q1.sql",
        "q2.sql",
    ]
    spec = ship(blobs := DictBlobs())
    assert spec.bundle_key is not None
    with zipfile.ZipFile(io.BytesIO(blobs.get(spec.bundle_key))) as found:
        assert {"data.json", "q1.sql"} <= {*found.namelist()}


@pytest.mark.usefixtures("environments")
def test_an_include_that_matches_nothing_is_refused(project: Path) -> None:
    make_environment(project, "('none.txt',)")
    with pytest.raises(CodeBundleError, match=r"none\.txt.*matches nothing"):
        included_files(project, registry.environments())


@pytest.mark.usefixtures("environments")
def test_an_include_outside_of_the_root_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("")
    make_environment(project, "('../outside.txt',)")
    with pytest.raises(CodeBundleError, match="root_dir"):
        included_files(project, registry.environments())


@pytest.mark.usefixtures("environments")
def test_an_include_of_typed_code_is_refused(project: Path) -> None:
    exec(
        compile(
            "import flyte_ray; flyte_ray.TaskEnvironment('typed', include=('a',))", "<cell>", "exec"
        ),
        {"__name__": "__main__"},
    )
    with pytest.raises(ValueError, match="notebook"):
        included_files(project, registry.environments())


@pytest.mark.usefixtures("environments")
def test_an_environment_that_the_run_does_not_need_cannot_stop_it(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_environment(project, "('none.txt',)")
    assert included_files(project) == set()
    assert "none.txt" in caplog.text


def test_an_unchanged_project_is_uploaded_once(project: Path) -> None:
    blobs = DictBlobs()
    first = ship(blobs, copy_style="all")
    stored = dict(blobs.objects)
    assert ship(blobs, copy_style="all").bundle_key == first.bundle_key
    assert blobs.objects == stored
