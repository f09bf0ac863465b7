"""What is taken out of logs, and that books stay whole."""

from __future__ import annotations

import json

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import DAY_US
from flyte_ray.store import layout
from flyte_ray.store.catalog import Catalog
from flyte_ray.store.ledger import open_book
from flyte_ray.store.trimming import trim_log, trim_logs
from tests.unit.store.stores import DictBlobs
from tests.unit.store.test_retention import LONG_AGO, ended


def test_the_log_of_a_run_goes_a_day_after_its_end_and_the_book_stays_whole() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    run = RunName("r1")
    before = Catalog(blobs).events("r1")
    assert trim_log(blobs, run) == 0
    final = json.loads(blobs.get(layout.final(run, 1)))
    assert trim_log(blobs, run, now_us=final["ended_us"] + 2 * DAY_US) == 3
    assert list(blobs.list(layout.log(run))) == []
    assert Catalog(blobs).events("r1") == before
    assert trim_log(blobs, run, now_us=final["ended_us"] + 2 * DAY_US) == 0
    book, events = open_book(blobs, "r1", "second")
    assert events == before
    book.close()


def test_a_log_whose_part_is_damaged_stays() -> None:
    blobs = DictBlobs()
    ended(blobs, "r1")
    part = next(key for key in blobs.objects if "/parts/" in key)
    blobs.objects[part] = b"half"
    assert trim_log(blobs, RunName("r1"), now_us=LONG_AGO) == 0
    assert len(Catalog(blobs).events("r1")) == 3


def test_a_log_whose_part_vanishes_meanwhile_is_left_to_the_next_time() -> None:
    blobs = DictBlobs()
    for name in ("r1", "r2"):
        ended(blobs, name)
        at = layout.final(RunName(name), 1)
        final = {**json.loads(blobs.get(at)), "ended_us": 1}
        blobs.put(at, json.dumps(final).encode())
    part = next(key for key in blobs.objects if key.startswith("runs/r1/parts/"))

    def vanish(operation: str, key: str) -> None:
        if operation == "get" and key == part:
            blobs.objects.pop(part, None)

    blobs.before = vanish
    assert trim_logs(blobs) == 3
    assert len(blobs.list(layout.chunk(RunName("r1"), 0))) == 3
    assert list(blobs.list(layout.log(RunName("r2")))) == []
