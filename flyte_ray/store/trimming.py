"""Takes the logs of ended runs away, once whole parts hold their rows.

A day after the end: until then a writer that slept through it could create a slot anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import DAY_US, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.compaction import final_of, is_compacted, summary_epochs
from flyte_ray.store.parts import cover, list_parts, load_part
from flyte_ray.store.run_file import read_run

logger = logging.getLogger(__name__)


def trim_log(
    blobs: Blobs,
    run: RunName,
    *,
    now_us: int | None = None,
    epochs: Mapping[str, int] | None = None,
) -> int:
    """Take the slots away that parts hold, if the run ended a day ago; how many. Idempotent."""
    final = final_of(blobs, run)
    now_us = utc_now_us() if now_us is None else now_us
    if final is None or (final.get("ended_us") or now_us) > now_us - DAY_US:
        return 0
    if not is_compacted(blobs, run, final, epochs):
        return 0
    chunks = [n for n in map(layout.number, blobs.list(layout.log(run))) if n is not None]
    slots = {layout.number(name) for n in chunks for name in blobs.list(layout.chunk(run, n))}
    removed = 0
    for (first, last), start in cover(list_parts(blobs, run)):
        there = [slot for slot in range(start, last + 1) if slot in slots]
        if there and load_part(blobs, run, (first, last)) is not None:
            blobs.delete(layout.segment(run, slot) for slot in there)
            removed += len(there)
    return removed


def trim_logs(blobs: Blobs) -> int:
    """`trim_log` for every run of the store."""
    total = 0
    epochs = summary_epochs(blobs)
    for name in blobs.list(layout.RUNS):
        try:
            total += trim_log(blobs, read_run(blobs, name).name, epochs=epochs)
        except (LookupError, FileNotFoundError):
            continue  # being made or removed; or folded, and then the next time will do
        except (StoreError, ConfigurationError) as error:
            logger.warning("the log of run %s stays: %s", name, error)
    return total
