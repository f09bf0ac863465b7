"""compact, gc, export and import as processes that are killed: the next one completes the work.

(`every_crash` goes through every storage call of each; here the process itself is gone.)
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import EventKind
from flyte_ray.errors import RunNotFoundError
from flyte_ray.store.archive import export_run, import_run
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_store
from flyte_ray.store.ledger import create_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.pacing import Pace
from flyte_ray.store.retention import Wish, plan_removal, remove
from tests.unit.store.books import ONE, row, run_spec, success

PATIENT_S = 30
ROOT = Path(__file__).resolve().parents[3]
RUNS = ("kept", "r1", "r2")
WORKER = """
import sys
from pathlib import Path
from flyte_ray.store.archive import export_run, import_run
from flyte_ray.store.compaction import compact_store
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.retention import Wish, plan_removal, remove

class Spoken:
    # Says so after each call of the store, and waits for the word to go on.
    def __init__(self, blobs):
        self.blobs = blobs
    def __getattr__(self, name):
        found = getattr(self.blobs, name)
        if name == "url":
            return found
        def call(*given, **named):
            result = found(*given, **named)
            print(name, flush=True)
            sys.stdin.readline()
            return result
        return call

work, blobs, path = sys.argv[1], Spoken(LocalBlobs(Path(sys.argv[2]))), Path(sys.argv[3])
if work == "compact":
    compact_store(blobs)
elif work == "gc":
    list(remove(blobs, plan_removal(blobs, Wish(before_us=2**62))))
elif work == "export":
    export_run(blobs, "r1", path)
else:
    import_run(blobs, path)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that have ended and were not folded."""
    folder = tmp_path_factory.mktemp("care") / "store"
    blobs = LocalBlobs(folder)
    for name in RUNS:
        labels = {"keep": "yes"} if name == "kept" else {}
        book = create_book(blobs, run_spec(name, labels=labels), "t", pace=Pace(gap_per_leaf_s=0))
        book.append([row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json())]).result(PATIENT_S)
        for number in range(5):
            book.append([success(f"b{number}")]).result(PATIENT_S)
        book.append([row(EventKind.SUCCEEDED, ROOT_ACTION, attempt=1)]).result(PATIENT_S)
        book.finish("succeeded", {"succeeded": 6})
    return folder


def killed(work: str, store: Path, path: Path, calls: int) -> None:
    """The work up to so many calls of the store, and then the process is gone."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, work, str(store), str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdin is not None
    for _ in range(calls):
        assert worker.stdout.readline(), "it had ended before"
        worker.stdin.write("go on\n")
        worker.stdin.flush()
    worker.send_signal(signal.SIGKILL)
    worker.communicate()


def told(blobs: LocalBlobs, run: str) -> list[str]:
    return [event.action_id for event in Catalog(blobs).events(run)]


@pytest.mark.parametrize("calls", [9, 26])
@pytest.mark.parametrize("work", ["compact", "gc", "export", "import"])
def test_work_that_was_killed_is_completed_by_the_next(
    work: str, calls: int, store: Path, tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "store")
    blobs, path = LocalBlobs(tmp_path / "store"), tmp_path / "r1.zip"
    before = told(blobs, "kept")
    if work == "import":
        export_run(blobs, "r1", path)
        shutil.rmtree(tmp_path / "store/runs/r1")
    killed(work, tmp_path / "store", path, calls if work in ("compact", "gc") else calls // 3)
    assert told(blobs, "kept") == before
    if work == "compact":
        assert sorted(run.name for run in Catalog(blobs).runs()) == list(RUNS)
        compact_store(blobs)
        assert Catalog(blobs).action_table("r1").num_rows == 6
        assert told(blobs, "r1") == before
    elif work == "gc":
        assert Catalog(blobs).run("kept").counts["succeeded"] == 6
        list(remove(blobs, plan_removal(blobs, Wish(before_us=2**62))))
        assert [run.name for run in Catalog(blobs).runs()] == ["kept"]
        assert blobs.list("runs") == ["kept"]
    elif work == "export":
        assert not path.exists(), "half an archive would be taken for one"
        export_run(blobs, "r1", path)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    else:
        with pytest.raises(RunNotFoundError):
            Catalog(blobs).run("r1")
        import_run(blobs, path)
        assert told(blobs, "r1") == before
