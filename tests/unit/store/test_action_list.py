"""Pages of a run's actions: the same from its file and from its book."""

from __future__ import annotations

import json

import pytest

from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.store.action_list import ActionFilter
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run
from flyte_ray.store.ledger import create_book
from tests.unit.store.books import ONE, row, run_spec, success
from tests.unit.store.stores import DictBlobs

PATIENT_S = 30


@pytest.fixture(params=["open", "ended", "compacted"])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    """A root with 30 children, every tenth of which failed."""
    blobs = DictBlobs()
    book = create_book(blobs, run_spec(), "test")
    error = json.dumps({"code": "ValueError", "kind": "user", "message": "no such city"})
    rows = [row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json())]
    for n in range(30):
        rows.append(row(EventKind.SUBMITTED, f"b{n}", task="env.even" if n % 2 == 0 else "env.odd"))
        failed = row(EventKind.FAILED, f"b{n}", attempt=1, error=error, task="")
        rows.append(failed if n % 10 == 0 else success(f"b{n}"))
    book.append(rows).result(PATIENT_S)
    if request.param == "open":
        book.close()
    else:
        book.finish("failed", {})
    if request.param == "compacted":
        compact_run(blobs, "r1")
        blobs.delete([key for key in blobs.objects if "/log/" in key or "/parts/" in key])
    return Catalog(blobs)


def test_a_page_is_a_part_of_all_in_order(catalog: Catalog) -> None:
    page = catalog.find_actions("r1", limit=3, offset=1)
    assert page.total == 31
    assert [line.action_id for line in page.lines] == ["b0", "b1", "b2"]
    assert catalog.find_actions("r1", limit=None).lines[0].action_id == ROOT_ACTION


def test_failures_are_found_with_their_message(catalog: Catalog) -> None:
    page = catalog.find_actions("r1", ActionFilter(phase=ActionPhase.FAILED), limit=2)
    assert page.total == 3
    assert [line.action_id for line in page.lines] == ["b0", "b10"]
    first = page.lines[0]
    assert (first.error_type, first.error_message) == ("ValueError", "no such city")
    assert (first.parent_id, first.attempts, first.cached) == (ROOT_ACTION, 1, False)


@pytest.mark.parametrize(
    ("wanted", "total"),
    [
        (ActionFilter(task="env.odd"), 0),
        (ActionFilter(task="step"), 27),
        (ActionFilter(parent=ROOT_ACTION), 30),
        (ActionFilter(kind="trace"), 0),
        (ActionFilter(text="city"), 3),
        (ActionFilter(cached=False), 31),
        (ActionFilter(phase=ActionPhase.FAILED, task="even"), 3),
    ],
)
def test_filters(catalog: Catalog, wanted: ActionFilter, total: int) -> None:
    page = catalog.find_actions("r1", wanted)
    if wanted.task == "env.odd":  # `success` names its task: the last row says what it was
        assert page.total == 0
    assert page.total == total


def test_the_table_can_be_had_by_column(catalog: Catalog) -> None:
    table = catalog.action_table("r1", ["action_id", "status"])
    assert table.column_names == ["action_id", "status"]
    assert table.num_rows == 31
    assert catalog.edge_table("r1").num_rows == 30
