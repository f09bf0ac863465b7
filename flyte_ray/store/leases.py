"""Of any number of claimants exactly one computes a cache key, and all get its result.

One chain of put-if-absent slots per key; the highest says how things stand:

    cache/flight/<key>/<slot>.json     claim     its holder computes; the slot is its fencing token
                                       result    what a claim came to
                                       release   the holder gave up: whoever wants may claim

Whoever wants to change anything puts the slot after the highest. So the result of a holder and the
claim of one who takes over compete for one object, and exactly one of them exists: a holder that
was taken for dead finds its slot taken, and its late result changes nothing. Tokens only grow.

No clock is compared with another one: `liveness` judges by what the claimant itself has watched.
It may be wrong (a machine that slept): then two compute, and still one result counts.

A crash leaves a claim, which ends with the life of its run. (The sketch in earlier notes had tokens
and a separate `done` object; there a dead holder's result could still arrive before the new one's.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import cache_layout, layout
from flyte_ray.store.liveness import Liveness
from flyte_ray.store.parallel import in_parallel

_TURNS = 20
FLIGHTS_STAY_US = 14 * 24 * 3600 * 1_000_000
"""So long at least a chain stays after its last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Somebody computes the key."""

    key: str
    token: int
    run: str
    epoch: int
    action_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a claim came to."""

    key: str
    slot: int
    run: str
    action_id: str
    created_us: int
    outputs: str
    """`Payload.to_json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Another one computes the key and lives: ask again."""

    holder: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    slot: int


_Slot = Claim | Result | _Release


class Leases:
    """Claims of one owner of one run. Thread-safe."""

    def __init__(self, blobs: Blobs, run: str, epoch: int, liveness: Liveness) -> None:
        self._blobs = blobs
        self._run = run
        self._epoch = epoch
        self._liveness = liveness

    def claim(
        self, key: str, action_id: str, accepts: Callable[[Result], bool]
    ) -> Claim | Result | Held:
        """Take the key, or say who has it, or what it came to. Costs a LIST and one or two more.

        A claim of this very owner that the caller does not know of counts as lost: the caller must
        not ask for a key that it holds, nor for one key twice at once.

        Args:
            key: the cache key.
            action_id: who will compute it.
            accepts: whether a result that is there will do; if not it is computed anew.
        """
        for _ in range(_TURNS):
            tail = self._tail(key)
            if isinstance(tail, Result) and accepts(tail):
                return tail
            if isinstance(tail, Claim) and not self._is_over(tail):
                return Held(holder=tail)
            claim = Claim(
                key=key,
                token=_number(tail) + 1,
                run=self._run,
                epoch=self._epoch,
                action_id=action_id,
            )
            if self._put(key, claim.token, {"kind": "claim", **self._mine(action_id)}):
                return claim
        raise StoreError(f"the claims for cache key {key} change faster than they can be read.")

    def finish(self, claim: Claim, outputs: str, created_us: int) -> bool:
        """Put what the claim came to; False if another one has taken over meanwhile."""
        body = {
            "kind": "result",
            **self._mine(claim.action_id),
            "created_us": created_us,
            "outputs": outputs,
        }
        return self._put(claim.key, claim.token + 1, body)

    def release(self, claim: Claim) -> None:
        """Give up, so that others need not wait for the end of this run. Idempotent."""
        self._put(claim.key, claim.token + 1, {"kind": "release", **self._mine(claim.action_id)})

    def _is_over(self, claim: Claim) -> bool:
        if claim.run == self._run:
            return claim.epoch <= self._epoch
        return self._liveness.is_dead(claim.run, claim.epoch)

    def _mine(self, action_id: str) -> dict[str, Any]:
        # The token makes the bytes ours alone: a lost reply is settled by comparing them.
        return {
            "run": self._run,
            "epoch": self._epoch,
            "action_id": action_id,
            "token": uuid4().hex,
            "at_us": utc_now_us(),  # for people, and for the sweep
        }

    def _put(self, key: str, slot: int, body: dict[str, Any]) -> bool:
        text = json.dumps(body, separators=(",", ":"))
        return self._blobs.put_new(cache_layout.flight_slot(key, slot), text.encode())

    def _tail(self, key: str) -> _Slot | None:
        found = map(layout.number, self._blobs.list(cache_layout.flight(key)))
        highest = max((number for number in found if number is not None), default=None)
        return None if highest is None else _read(self._blobs, key, highest)


def sweep_flights(
    blobs: Blobs, before_us: int, *, dry_run: bool = False, now_us: int | None = None
) -> list[str]:
    """Remove the chains whose last word was said before; the keys that were (or would be) removed.

    A claim stays while its run has not ended. Costs a LIST and a GET per key that was ever
    serialized, so it is for the care of a store, not for runs. Weeks are a good age: a holder that
    slept longer than that would start a new chain.
    """
    before_us = min(before_us, (utc_now_us() if now_us is None else now_us) - FLIGHTS_STAY_US)

    def spent(key: str) -> list[str]:
        slots = [
            n for n in map(layout.number, blobs.list(cache_layout.flight(key))) if n is not None
        ]
        keys = [cache_layout.flight_slot(key, slot) for slot in slots]
        try:
            last = json.loads(blobs.get(max(keys, default="")))
            is_old = int(last["at_us"]) < before_us
            return keys if is_old and not _is_held(blobs, last) else []
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    found = in_parallel(blobs, spent, blobs.list(cache_layout.FLIGHTS))
    doomed = [key for keys in found for key in keys]
    if not dry_run:
        blobs.delete(doomed)
    return doomed


def _is_held(blobs: Blobs, last: dict[str, Any]) -> bool:
    """True for a claim of a run that goes on, or was cut off and may be resumed."""
    run = RunName(str(last["run"]))
    is_claim = last["kind"] == "claim"
    return is_claim and blobs.exists(layout.run_file(run)) and not blobs.list(layout.finals(run))


def _number(slot: _Slot | None) -> int:
    if slot is None:
        return -1
    return slot.token if isinstance(slot, Claim) else slot.slot


def _read(blobs: Blobs, key: str, number: int) -> _Slot:
    where = cache_layout.flight_slot(key, number)
    try:
        body = json.loads(blobs.get(where))
        return _slot(key, number, body)
    except (ValueError, KeyError, TypeError):
        # Half an object: a power cut on a disk without fsync. It promised nobody anything.
        return _Release(slot=number)


def _slot(key: str, number: int, body: dict[str, Any]) -> _Slot:
    match body["kind"]:
        case "claim":
            return Claim(
                key=key,
                token=number,
                run=body["run"],
                epoch=int(body["epoch"]),
                action_id=body["action_id"],
            )
        case "result":
            return Result(
                key=key,
                slot=number,
                run=body["run"],
                action_id=body["action_id"],
                created_us=int(body["created_us"]),
                outputs=body["outputs"],
            )
        case _:
            return _Release(slot=number)
