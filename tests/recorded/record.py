"""Writes a store as this release does: `python -m tests.recorded.record 0.1.0`, once a release.

The story is always the same: a run that ended and was compacted, one of two owners that goes on and
was folded in part, a cache entry. `expected.json` says what a reader must find.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase, EventKind
from flyte_ray.core.ports import Blobs
from flyte_ray.store import compaction
from flyte_ray.store.blobs import check_writable
from flyte_ray.store.cache_index import Entry, StoredCache
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.compaction import compact_run, fold_blocks
from flyte_ray.store.ledger import create_book, open_book
from flyte_ray.store.local_blobs import LocalBlobs
from flyte_ray.store.pacing import Pace
from tests.unit.store.books import ONE, row, run_spec, success

HERE = Path(__file__).parent
EACH_ALONE = Pace(gap_per_leaf_s=0)
ERROR = json.dumps({"code": "ValueError", "kind": "user", "message": "no such city"})


def write(blobs: Blobs) -> None:
    """The story."""
    check_writable(blobs)
    book = create_book(blobs, run_spec("ended", labels={"team": "x"}), "first", pace=EACH_ALONE)
    attrs = {"started_us": 10, "ended_us": 20, "node": "n1", "worker": "w1", "pid": 7}
    for rows in (
        [row(EventKind.SUBMITTED, ROOT_ACTION, inputs=ONE.to_json(), attrs={"identity": "i1"})],
        [row(EventKind.SUBMITTED, "b1", inputs=ONE.to_json()), row(EventKind.SUBMITTED, "b2")],
        [row(EventKind.STARTED, "b1", attempt=1), success("b1")],
        [row(EventKind.RETRYING, "b2", attempt=1, error=ERROR, attrs=attrs)],
        [row(EventKind.FAILED, "b2", attempt=2, error=ERROR, attrs=attrs)],
        [row(EventKind.FAILED, ROOT_ACTION, attempt=1, error=ERROR, phase=ActionPhase.FAILED)],
    ):
        book.append(rows).result()
    book.finish("failed", {"succeeded": 1, "failed": 2})
    compact_run(blobs, "ended")
    book = create_book(blobs, run_spec("open"), "first", pace=EACH_ALONE)
    for number in range(9):
        book.append([success(f"b{number}")]).result()
    book.close()
    book, _ = open_book(blobs, "open", "second", pace=EACH_ALONE)
    book.append([success("late")]).result()
    fold_blocks(blobs, book.run, 8)
    book.close()
    entry = Entry(
        key="k1", created_us=5, run="ended", action_id="b1", task="env.step", outputs=ONE.to_json()
    )
    StoredCache(blobs).publish([entry])


def findings(blobs: Blobs) -> dict[str, object]:
    """What a reader finds, as plain JSON values."""
    catalog = Catalog(blobs)
    found: dict[str, object] = {}
    for record in sorted(catalog.runs(None), key=lambda each: each.name):
        actions = catalog.actions(record.name)
        page = catalog.find_actions(record.name, limit=None)
        found[record.name] = {
            "phase": record.phase.value,
            "labels": dict(record.spec.labels),
            "events": [[e.kind.value, e.action_id] for e in catalog.events(record.name)],
            "actions": {
                key: [each.phase.value, len(each.attempts), each.outputs == ONE, each.error]
                for key, each in actions.items()
            },
            "listed": [[line.action_id, line.phase.value, line.error_type] for line in page.lines],
            "edges": [
                [edge["kind"], edge["src_action"], edge["dst_action"]]
                for edge in catalog.edge_table(record.name).to_pylist()
            ],
        }
    found["cache"] = {key: each.outputs for key, each in StoredCache(blobs).look_up(["k1"]).items()}
    return found


if __name__ == "__main__":
    socket.gethostname = lambda: "host"  # claims name the machine
    compaction.SLOTS_A_PART = 4  # so that a short story has parts
    compaction.FAN_IN = 2
    folder = HERE / sys.argv[1]
    store = LocalBlobs(folder / "store")
    write(store)
    (folder / "expected.json").write_text(json.dumps(findings(store), indent=1) + "\n")
