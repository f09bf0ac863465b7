"""Which files of the cache count: a chain of numbered manifests, each put-if-absent.

The highest number counts. Whoever changes what counts reads manifest n, writes new files under new
names, and puts n + 1; of several at the same time one wins, the others' files were never named by
anybody. A manifest is never changed; a lower one that appears late means nothing.

    {"format": 1, "created_us": …, "token": …,
     "tiers":   [{"name", "rows", "shard_rows"}, …]   largest first
     "applied": {level-0 file: since_us}              their entries are in the tiers
     "retired": [{"name", …, "since_us"}]}            merged into others, still read by some

`since_us` is a wall clock, used only to leave files lying for an hour too long or too short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flyte_ray.core.ports import Blobs
from flyte_ray.errors import ConfigurationError, StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.cache_tiers import Tier

FORMAT = 1
NONE_YET = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A tier that was merged into another one."""

    tier: Tier
    since_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The state of the cache under one number."""

    number: int = NONE_YET
    created_us: int = 0
    tiers: tuple[Tier, ...] = ()
    applied: Mapping[str, int] = field(default_factory=dict)
    """Level-0 files whose entries the tiers hold, by name: since when, in microseconds."""
    retired: tuple[Retired, ...] = ()


def newest_number(blobs: Blobs) -> int:
    """The number of the manifest that counts; `NONE_YET` where there is none. One LIST."""
    numbers = map(layout.number, blobs.list(cache_layout.MANIFESTS))
    return max((number for number in numbers if number is not None), default=NONE_YET)


def read_manifest(blobs: Blobs, number: int | None = None) -> Manifest:
    """The manifest of that number (None: the one that counts).

    Raises:
        StoreError: it is damaged.
        ConfigurationError: a newer release wrote it.
        FileNotFoundError: it was swept away; look for the newest again.
    """
    chosen = newest_number(blobs) if number is None else number
    if chosen == NONE_YET:
        return Manifest()
    key = cache_layout.manifest(chosen)
    data = blobs.get(key)
    try:
        stored = json.loads(data)
        written = int(stored["format"])
        if written <= FORMAT:
            return _manifest(chosen, stored)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{blobs.url}/{key} is damaged ({type(error).__name__}: {error}): remove it; results"
            " of earlier runs are then computed again."
        ) from error
    raise ConfigurationError(
        f"the cache of {blobs.url} was written by a newer release (format {written}, this one reads"
        f" {FORMAT}): upgrade flyte-ray."
    )


def put_manifest(blobs: Blobs, manifest: Manifest) -> bool:
    """Make the manifest count; False if another one has its number."""
    data = {
        "format": FORMAT,
        "created_us": manifest.created_us,
        "token": uuid4().hex,  # makes the bytes ours alone: a lost reply is settled by comparing
        "tiers": [_plain(tier) for tier in manifest.tiers],
        "applied": dict(manifest.applied),
        "retired": [{**_plain(each.tier), "since_us": each.since_us} for each in manifest.retired],
    }
    text = json.dumps(data, separators=(",", ":"))
    return blobs.put_new(cache_layout.manifest(manifest.number), text.encode())


def _manifest(number: int, stored: Mapping[str, Any]) -> Manifest:
    return Manifest(
        number=number,
        created_us=int(stored["created_us"]),
        tiers=tuple(_tier(each) for each in stored["tiers"]),
        applied={str(name): int(since) for name, since in stored["applied"].items()},
        retired=tuple(
            Retired(tier=_tier(each), since_us=int(each["since_us"])) for each in stored["retired"]
        ),
    )


def _tier(data: Mapping[str, Any]) -> Tier:
    return Tier(name=data["name"], rows=int(data["rows"]), shard_rows=int(data["shard_rows"]))


def _plain(tier: Tier) -> dict[str, Any]:
    return {"name": tier.name, "rows": tier.rows, "shard_rows": tier.shard_rows}
