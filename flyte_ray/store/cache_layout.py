"""Where everything of the cache lies below the store's root; the rest is in `layout`.

This room only makes names. Keys are relative and `/`-separated.

    cache/l0/<unique>.parquet                results, as hosts publish them
    cache/manifest/<number>.json             which files count (`cache_manifest`)
    cache/shards/<tier>/fingerprints         8 bytes a row (`cache_tiers`)
                       /<shard>.parquet      sorted results, merged from level 0
    cache/flight/<key>/<slot>.json           who computes a key, and what came of it (`leases`)
"""

from __future__ import annotations

from flyte_ray.store import layout

LEVEL_0 = layout.CACHE_LEVEL_0
MANIFESTS = "cache/manifest"
SHARDS = "cache/shards"
FLIGHTS = "cache/flight"


def level_0(file_name: str) -> str:
    """One published file, by its name."""
    return f"{LEVEL_0}/{file_name}"


def manifest(number: int) -> str:
    """One state of the cache."""
    return f"{MANIFESTS}/{number:010d}.json"


def tier(name: str) -> str:
    """The folder of one tier."""
    return f"{SHARDS}/{name}"


def shard(tier_name: str, number: int) -> str:
    """One piece of a tier, a Parquet file."""
    return f"{SHARDS}/{tier_name}/{number:05d}.parquet"


def fingerprints(tier_name: str) -> str:
    """The fingerprints of all rows of a tier."""
    return f"{SHARDS}/{tier_name}/fingerprints"


def flight(key: str) -> str:
    """The folder of claims and results of one cache key."""
    return f"{FLIGHTS}/{key}"


def flight_slot(key: str, slot: int) -> str:
    """One claim, result or release."""
    return f"{FLIGHTS}/{key}/{slot:06d}.json"
