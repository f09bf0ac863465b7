"""Which store the processes of a run open, and how: a part of the orders to workers and replicas.

One rule: what the driver was told about its store holds in every process that writes for its runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ports import Blobs
from flyte_ray.store.blobs import open_blobs
from flyte_ray.store.local_blobs import LocalBlobs


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOrder:
    """A store, and how to write to it."""

    url: str
    fsync: bool = False
    """Force each write of a local store to the disk."""

    def open(self) -> Blobs:
        """The store."""
        return open_blobs(self.url, fsync=self.fsync)


def store_of(run: RunSpec) -> StoreOrder:
    """The store of a run."""
    return StoreOrder(url=run.store_url, fsync=bool(run.options.get("fsync")))


def write_as_wanted(blobs: Blobs, run: RunSpec) -> None:
    """Let an open store be written as the run wants it; for good, since other runs lose nothing."""
    if store_of(run).fsync and isinstance(blobs, LocalBlobs):
        blobs.force_writes()
