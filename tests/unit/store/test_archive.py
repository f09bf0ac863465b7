"""A run as a file, and back elsewhere."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flyte_ray.core.address import TaskAddress
from flyte_ray.core.calls import CodeSpec
from flyte_ray.core.digest import digest_bytes
from flyte_ray.core.model import EventKind
from flyte_ray.errors import RunExistsError, RunNotFoundError, UsageError
from flyte_ray.store.archive import export_run, import_run
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.unused_code import mark_code, sweep_code
from flyte_ray.testing.crashes import every_crash
from tests.unit.store.books import row
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_retention import LONG_AGO, PATIENT_S, begun, ended, large

BUNDLE = f"code/{digest_bytes(b'code')}.zip"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of a run that adopted a value of another one and has a bundle."""
    blobs = DictBlobs()
    ended(blobs, "source")
    blobs.put(BUNDLE, b"code")
    spec = {"code": CodeSpec(bundle_key=BUNDLE), "store_url": blobs.url}
    ended(blobs, "r1", outputs=large("source"), **spec)
    export_run(blobs, "r1", tmp_path / "r1.zip")
    return tmp_path / "r1.zip"


def test_a_run_is_the_same_elsewhere_with_what_it_needs_of_others(
    archive: Path, tmp_path: Path
) -> None:
    there = LocalBlobs(tmp_path / "there")
    assert import_run(there, archive) == "r1"
    catalog = Catalog(there)
    assert [run.name for run in catalog.runs()] == ["r1"]
    assert catalog.action("r1", "a0").outputs == large("source")
    assert there.get("runs/source/values/v1.npy") == b"1"
    assert there.get(BUNDLE) == b"code"
    assert not there.exists("runs/source/run.json")
    assert catalog.spec("r1").store_url == there.url
    assert not compact_run(there, "r1").tables  # its tables came along


def test_tasks_that_travelled_by_value_come_along(tmp_path: Path) -> None:
    blobs = DictBlobs()
    root, child = (f"code/{digest_bytes(data)}.pkl" for data in (b"root", b"child"))
    blobs.put(root, b"root")
    blobs.put(child, b"child")
    book = begun(blobs, "r1", address=TaskAddress(name="env.main", blob_key=root))
    attrs = {"address": {"name": "env.step", "blob_key": child}}
    book.append([row(EventKind.SUBMITTED, attrs=attrs)]).result(PATIENT_S)
    book.finish("succeeded", {})
    export_run(blobs, "r1", tmp_path / "r1.zip")
    there = DictBlobs("memory://there")
    there.put(child, b"child")
    mark_code(there, [child])
    import_run(there, tmp_path / "r1.zip")
    assert (there.get(root), there.get(child)) == (b"root", b"child")
    assert sweep_code(there, now_us=LONG_AGO) == [], "nothing that it brings is taken for unused"


def test_urls_of_its_files_point_into_the_new_store(tmp_path: Path) -> None:
    here, there = LocalBlobs(tmp_path / "here"), LocalBlobs(tmp_path / "there")
    url = f"{here.url}/runs/r1/files/a0/data.csv"
    book = begun(here, "r1", inputs=large("r1"))  # type: ignore[arg-type]
    book.finish("succeeded", {})
    events = Catalog(here).events("r1")
    assert events
    here.put("runs/r1/actions.parquet", _table_with(url))
    export_run(here, "r1", tmp_path / "r1.zip")
    import_run(there, tmp_path / "r1.zip")
    assert Catalog(there).events("r1") == events
    moved = pq.read_table(tmp_path / "there/runs/r1/actions.parquet").to_pylist()
    assert moved == [{"outputs": url.replace(here.url, there.url)}]


def _table_with(url: str) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"outputs": [url]}), sink)
    return bytes(sink.getvalue())


def test_a_store_that_has_the_run_refuses_it(archive: Path, tmp_path: Path) -> None:
    there = LocalBlobs(tmp_path / "there")
    import_run(there, archive)
    with pytest.raises(RunExistsError):
        import_run(there, archive)


def test_remains_of_another_run_are_not_overwritten(archive: Path) -> None:
    blobs = DictBlobs("memory://there")
    blobs.put("runs/r1/owners/000001.json", b"{}")
    with pytest.raises(RunExistsError, match="remains"):
        import_run(blobs, archive)


def test_an_import_that_is_cut_off_is_no_run_and_can_be_repeated(archive: Path) -> None:
    for left in every_crash(
        lambda: DictBlobs("memory://there"), lambda blobs: import_run(blobs, archive)
    ):
        try:
            assert Catalog(left.blobs).action("r1", "a0").outputs == large("source"), str(left)
        except RunNotFoundError:
            import_run(left.blobs, archive)
            assert Catalog(left.blobs).action("r1", "a0").outputs == large("source"), str(left)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no archive"):
        import_run(DictBlobs(), path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(UsageError, match="no archive"):
        import_run(DictBlobs(), path)


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "runs/../../x", "_tmp/x"])
def test_an_archive_cannot_write_outside_the_store(tmp_path: Path, key: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        manifest = {"format": 1, "run": "r1", "store_url": "x"}
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("runs/r1/run.json", "{}")
        archive.writestr(key, "x")
    blobs = DictBlobs()
    with pytest.raises(UsageError, match="no archive"):
        import_run(blobs, path)
    assert blobs.objects == {}


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("runs/mine/run.json", b"{}"),
        ("runs/mine/actions.parquet", b"x"),
        ("runs/mine/log/000000/000000007.parquet", b"x"),
        ("runs/r1/../mine/run.json", b"{}"),
        ("runs/r1//run.json", b"{}"),
        ("runs/.hidden/values/v", b"x"),
        ("code/x.zip", b"code"),
        (BUNDLE.replace(".zip", ".pkl"), b"other code"),
        ("catalog/reopened/mine~000002.json", b"{}"),
        ("catalog/runs/19700101/mine.parquet", b"x"),
        ("catalog/runs/merged/000000001-a.parquet", b"x"),
        ("catalog/runs/19700101/r1.parquet", b"x"),
        ("format.json", b"{}"),
    ],
)
def test_an_archive_brings_nothing_that_is_not_its_runs(
    archive: Path, key: str, data: bytes
) -> None:
    blobs = DictBlobs("memory://there")
    with pytest.raises(UsageError, match="no archive"):
        import_run(blobs, with_object(archive, key, data))
    assert blobs.objects == {}


def test_an_archive_that_describes_another_run_is_refused(archive: Path) -> None:
    mine = DictBlobs()
    ended(mine, "mine")
    path = with_object(archive, "runs/r1/run.json", mine.get("runs/mine/run.json"))
    with pytest.raises(UsageError, match="no archive"):
        import_run(DictBlobs("memory://there"), path)


def test_a_row_of_another_run_is_refused(archive: Path) -> None:
    mine = DictBlobs()
    ended(mine, "mine")
    [row_of_mine] = [key for key in mine.objects if key.startswith("catalog/runs/")]
    [row_of_r1] = [
        name for name in zipfile.ZipFile(archive).namelist() if name.startswith("catalog/runs/")
    ]
    with pytest.raises(UsageError, match="no archive"):
        import_run(DictBlobs("m://there"), with_object(archive, row_of_r1, mine.get(row_of_mine)))


def test_values_and_code_of_others_that_the_store_has_stay(archive: Path) -> None:
    blobs = DictBlobs("memory://there")
    theirs = {"runs/source/values/v1.npy": b"here", "runs/source/files/a0/data.csv": b"too"}
    blobs.objects.update(theirs)
    import_run(blobs, archive)
    assert {key: blobs.objects[key] for key in theirs} == theirs


def with_object(archive: Path, key: str, data: bytes) -> Path:
    """The archive with one object more, or with another one in its place."""
    changed = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name != key:
                new.writestr(name, old.read(name))
        new.writestr(key, data)
    return changed


def test_exporting_a_run_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        export_run(DictBlobs(), "none", tmp_path / "x.zip")
    assert list(tmp_path.iterdir()) == []
