"""From an address to a task: paths made portable, bundles unpacked once, modules put back."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flyte_ray.client.bundle import archive
from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.engine.code_folder import LIST, cache_folder
from flyte_ray.engine.loading import Loader, importable, is_at_hand, portable, unpacked
from flyte_ray.errors import DigestMismatchError, ModuleLoadError
from flyte_ray.store.local_blobs import LocalBlobs
from tests.unit.store.stores import DictBlobs

SOURCE = """
import flyte_ray as flyte
from loading_helper import FACTOR
env = flyte.TaskEnvironment("loading")

@env.task
def times(x: int) -> int:
    return x * FACTOR

@env.task
def plus(x: int) -> int:
    return x + FACTOR
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.fixture(autouse=True)
def _imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("loading_", "project")):
            del sys.modules[name]


def project(root: Path, factor: int) -> Path:
    root.mkdir(parents=True)
    (root / "loading_main.py").write_text(SOURCE)
    (root / "loading_helper.py").write_text(f"FACTOR = {factor}\n")
    return root


def bundled(blobs: LocalBlobs | DictBlobs, root: Path) -> CodeSpec:
    data = archive(root, root.rglob("*.py"))
    digest = digest_bytes(data)
    blobs.put(f"code/{digest}.zip", data)
    return CodeSpec(
        bundle_key=f"code/{digest}.zip",
        digest=digest,
        root=str(root),
        host="another machine",
        import_roots=(".",),
    )


ADDRESS = TaskAddress(name="loading.times", module="loading_main")


@pytest.mark.parametrize(
    ("file", "root", "expected"),
    [
        ("/project/src/main.py", "/project", "src/main.py"),
        ("/elsewhere/main.py", "/project", "/elsewhere/main.py"),
        ("src/main.py", "/project", "src/main.py"),
        ("/project/main.py", "", "/project/main.py"),
        (None, "/project", None),
    ],
)
def test_a_path_below_the_root_becomes_relative(
    file: str | None, root: str, expected: str | None
) -> None:
    address = TaskAddress(name="env.step", module="__main__", file=file)
    assert portable(address, root) == replace(address, file=expected)


def test_code_is_at_hand_on_the_machine_that_has_it(tmp_path: Path) -> None:
    here = CodeSpec(root=str(tmp_path), host=socket.gethostname())
    assert is_at_hand(here)
    assert not is_at_hand(replace(here, host="another machine"))
    assert not is_at_hand(replace(here, root=str(tmp_path / "gone")))
    assert not is_at_hand(CodeSpec(host=socket.gethostname()))


def test_a_bundle_is_unpacked_once(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    folder = unpacked(blobs, code)
    assert (folder / "loading_helper.py").read_text() == "FACTOR = 3\n"
    gets = blobs.calls["get"]
    assert unpacked(blobs, code) == folder
    assert blobs.calls["get"] == gets


def test_several_that_unpack_at_once_get_the_same_whole_folder(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "store")
    code = bundled(blobs, project(tmp_path / "project", 3))
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(unpacked(blobs, code))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(folders) == 8
    assert len(set(folders)) == 1
    assert [path.name for path in folders[0].parent.iterdir()] == [code.digest]


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    assert code.bundle_key is not None
    blobs.put(code.bundle_key, b"something else")
    with pytest.raises(DigestMismatchError, match="damaged"):
        unpacked(blobs, code)


def test_a_bundle_that_is_gone_says_where_it_was(tmp_path: Path) -> None:
    code = bundled(DictBlobs(), project(tmp_path / "project", 3))
    with pytest.raises(ModuleLoadError, match=r"code/.* is no longer in the store memory://test"):
        unpacked(DictBlobs(), code)


def test_a_task_is_loaded_from_a_bundle(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    loader = Loader(blobs)
    task = loader.load(ADDRESS, code)
    assert task.func(2) == 6
    assert loader.load(ADDRESS, code) is task


def test_stored_code_does_not_change_what_this_process_has(tmp_path: Path) -> None:
    blobs = DictBlobs()
    old = bundled(blobs, project(tmp_path / "old", 3))
    sys.path.insert(0, str(project(tmp_path / "new", 5)))
    import loading_helper  # type: ignore[import-not-found]

    assert Loader(blobs).load(ADDRESS, old).func(2) == 6
    assert sys.modules["loading_helper"] is loading_helper
    assert loading_helper.FACTOR == 5
    import loading_main  # type: ignore[import-not-found]

    assert loading_main.times.func(2) == 10


@pytest.mark.parametrize("present", [True, False], ids=["beside-other-code", "alone"])
def test_tasks_of_one_bundle_share_their_modules(tmp_path: Path, present: bool) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "old", 3))
    if present:
        sys.path.insert(0, str(project(tmp_path / "new", 5)))
        import loading_main
    before = list(sys.path)
    loader = Loader(blobs)
    times, plus = (
        loader.load(replace(ADDRESS, name=f"loading.{name}"), code) for name in ("times", "plus")
    )
    assert times.func.__globals__ is plus.func.__globals__
    assert plus.func(1) == 4
    if present:
        assert sys.modules["loading_main"] is loading_main
        assert sys.path == before
    else:
        assert len(sys.path) == len(before) + 1


def test_code_at_hand_is_imported_in_the_authors_order(tmp_path: Path) -> None:
    root = project(tmp_path / "project", 3)
    code = CodeSpec(
        root=str(root), host=socket.gethostname(), sys_path=(str(root), str(tmp_path / "gone"))
    )
    with importable(root, code):
        assert sys.path[0] == str(root)
        assert str(tmp_path / "gone") not in sys.path
    assert sys.path[0] == str(root)


def test_an_import_root_that_is_not_in_the_bundle_is_no_error(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    odd = replace(code, import_roots=("missing", "."))
    assert Loader(blobs).load(ADDRESS, odd).func(2) == 6


def test_a_missing_task_names_what_there_is(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    wrong = replace(ADDRESS, name="loading.other")
    with pytest.raises(ModuleLoadError, match=r"no task 'loading\.other'.*loading\.times"):
        Loader(blobs).load(wrong, code)


def test_unpacked_bundles_are_the_users_own(tmp_path: Path) -> None:
    blobs = DictBlobs()
    folder = unpacked(blobs, bundled(blobs, project(tmp_path / "project", 3)))
    assert folder.parent == cache_folder()
    assert (folder.parent.stat().st_mode & 0o077) == 0
    assert (folder.parent.parent.stat().st_mode & 0o077) == 0


def test_files_that_a_cleaner_took_or_a_crash_cut_short_come_back(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    folder = unpacked(blobs, code)
    (folder / "loading_helper.py").unlink()
    (folder / "loading_main.py").write_text("")
    (folder / "made_since.txt").write_text("kept")
    assert unpacked(blobs, code) == folder
    assert (folder / "loading_helper.py").read_text() == "FACTOR = 3\n"
    assert (folder / "loading_main.py").read_text() == SOURCE
    assert (folder / "made_since.txt").exists(), "somebody may be at work there"
    assert [path.name for path in folder.parent.iterdir()] == [code.digest]
    gets = blobs.calls["get"]
    assert unpacked(blobs, code) == folder
    assert blobs.calls["get"] == gets


def test_a_folder_without_its_list_is_not_believed(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    folder = unpacked(blobs, code)
    (folder / LIST).unlink()
    (folder / "loading_helper.py").write_text("FACTOR = 4\n")
    assert (unpacked(blobs, code) / "loading_helper.py").read_text() == "FACTOR = 3\n"


def test_code_of_somebody_else_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    (cache_folder() / code.digest).mkdir(parents=True)
    mine = os.getuid()
    theirs = cache_folder().parent.rename(tmp_path / "tmp" / f"flyte_ray-{mine + 1}")
    monkeypatch.setattr("os.getuid", lambda: mine + 1)
    with pytest.raises(ModuleLoadError, match=f"{theirs}.* belongs to the user {mine}.*TMPDIR"):
        unpacked(blobs, code)


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    unpacked(blobs, code)
    cache_folder().chmod(0o777)
    with pytest.raises(ModuleLoadError, match="is open to others"):
        unpacked(blobs, code)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache_folder().parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModuleLoadError, match="is no folder"):
        unpacked(blobs, code)


def test_the_folder_around_is_closed_whoever_of_us_made_it(tmp_path: Path) -> None:
    blobs = DictBlobs()
    code = bundled(blobs, project(tmp_path / "project", 3))
    cache_folder().parent.mkdir()
    cache_folder().parent.chmod(0o775)
    unpacked(blobs, code)
    assert (cache_folder().parent.stat().st_mode & 0o077) == 0
