"""Every store that a release has written can be read, taken over, compacted and carried on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flyte_ray.store.blobs import check_writable
from flyte_ray.store.compaction import compact_store
from flyte_ray.store.ledger import open_book
from flyte_ray.store.local_blobs import LocalBlobs
from tests.recorded import record
from tests.unit.store.books import success

PATIENT_S = 30
RELEASES = sorted(path.parent.name for path in record.HERE.glob("*/expected.json"))


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a release wrote."""
    shutil.copytree(record.HERE / request.param, tmp_path / "recorded")
    return tmp_path / "recorded"


def test_there_is_a_record() -> None:
    assert RELEASES


def test_what_a_release_wrote_is_read(release: Path) -> None:
    expected = json.loads((release / "expected.json").read_text())
    assert json.loads(json.dumps(record.findings(LocalBlobs(release / "store")))) == expected


def test_what_a_release_wrote_can_be_carried_on(release: Path) -> None:
    blobs = LocalBlobs(release / "store")
    check_writable(blobs)
    expected = json.loads((release / "expected.json").read_text())
    book, events = open_book(blobs, "open", "now")
    assert [[e.kind.value, e.action_id] for e in events] == expected["open"]["events"]
    book.append([success("more")]).result(PATIENT_S)
    book.finish("succeeded", {})
    assert [c.run for c in compact_store(blobs) if c.tables] == ["open"]
    assert record.findings(blobs)["ended"] == expected["ended"]


def test_this_release_still_tells_the_same_story(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    record.write(blobs)
    newest = json.loads((record.HERE / RELEASES[-1] / "expected.json").read_text())
    assert json.loads(json.dumps(record.findings(blobs))) == newest
