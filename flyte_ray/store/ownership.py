"""Who may write a book: claim an epoch, fence every earlier owner, read what they left.

Needs LIST, GET and put-if-absent only, so that local, gs:// and s3:// behave alike; no clock, no
lock, no lease. The protocol and its proof obligations (random model: tests/unit/store/
test_protocol.py):

1. Claim: put-if-absent `owners/<highest + 1>.json`. No two owners share an epoch.
2. Fence: with `base` = highest slot + 1, take `WIDEST_WINDOW` consecutive slots from `base`. A slot
   that holds a higher epoch means we are fenced ourselves. One that holds a lower epoch is a live
   earlier owner running ahead of us: jump further ahead and try again (by growing strides, else
   the chase never ends).
3. Fill every hole below `base` with a fence. A segment that landed there meanwhile is valid.
4. Read everything below `base`. A row of a higher epoch: we are fenced. Before that, damaged files
   at the end of the book make way for fences: on local stores only, after a second look, and their
   bytes stay beside the book.

An earlier owner never has `base` stored, so by the rule of its window it can only try slots below
`base + WIDEST_WINDOW`, all of which are taken; whatever it did store is below `base` and was read.
Hence every object in the log is valid and readers need no epochs.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from flyte_ray.core.ids import ActionId, RunName
from flyte_ray.core.model import Event, EventKind, utc_now_us
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import FencedError, RunNotFoundError, StoreError
from flyte_ray.store import layout
from flyte_ray.store.blobs import is_local
from flyte_ray.store.log_files import LogFiles
from flyte_ray.store.pacing import WIDEST_WINDOW
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.segments import FENCES, decode_segment, encode
from flyte_ray.store.summaries import mark_reopened

logger = logging.getLogger(__name__)

FIRST_EPOCH = 1
_STRIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """What a new owner starts from."""

    epoch: int
    next_slot: int
    events: list[Event]
    """Everything that any earlier owner had stored, in order."""


def fenced(run: RunName, epoch: int) -> FencedError:
    """The error of an owner that is one no longer."""
    return FencedError(
        f"another process has taken over run {run!r} from its owner of epoch {epoch}: results that"
        " were not acknowledged will be computed there again. Let this process end.",
        run_name=run,
        epoch=epoch,
    )


def claim_first(blobs: Blobs, run: RunName, owner: str) -> bool:
    """Claim a run that was just created; False if somebody was faster."""
    return blobs.put_new(layout.owner(run, FIRST_EPOCH), _claim(owner, FIRST_EPOCH))


def take_over(
    blobs: Blobs, run: RunName, owner: str, *, is_there: Callable[[], object] = lambda: None
) -> Takeover:
    """Become the owner of an existing run.

    `is_there`: raises `RunNotFoundError` if the run was removed; asked once it is claimed, for from
    then on a removal finds the claim.

    Costs about six round trips and the reading. Safe to be interrupted at any point: what is left
    behind is an epoch and fences, which the next owner steps over.

    Raises:
        FencedError: another process took over at the same time and comes after us.
        StoreError: the store is away, or holds a segment that cannot be read.
        RunNotFoundError: `is_there` does.
    """
    epoch = _claim_next(blobs, run, owner)
    try:
        is_there()
    except RunNotFoundError:
        blobs.delete([layout.owner(run, epoch), layout.reopened(run, epoch)])
        raise
    fences = _Fences(blobs, run, epoch, owner)
    files = LogFiles(blobs, run)
    base = fences.stand(files)
    files.segments(below=base)
    for slot in files.damaged():
        fences.heal(slot)
    taken = set(files.slots())
    in_parallel(blobs, fences.put, [slot for slot in range(base) if slot not in taken])
    segments = files.segments(below=base)
    if unread := files.damaged():
        raise StoreError(
            f"the book of run {run!r} in {blobs.url} cannot be taken over: slot {unread[0]} reads"
            " differently each time. Check the disk, then try again; nothing was changed in it."
        )
    if any(segment.epoch > epoch for segment in segments):
        raise fenced(run, epoch)
    events = [e for segment in segments for e in segment.events if e.kind not in FENCES]
    return Takeover(epoch=epoch, next_slot=base + WIDEST_WINDOW, events=events)


def latest_epoch(blobs: Blobs, run: RunName) -> int:
    """The highest epoch that was claimed; 0 when none was."""
    epochs = map(layout.number, blobs.list(layout.owners(run)))
    return max((epoch for epoch in epochs if epoch is not None), default=0)


def _claim_next(blobs: Blobs, run: RunName, owner: str) -> int:
    while True:
        epoch = latest_epoch(blobs, run) + 1
        mark_reopened(blobs, run, epoch)  # before: a crash in between leaves a mark too many
        if blobs.put_new(layout.owner(run, epoch), _claim(owner, epoch)):
            return epoch


def _claim(owner: str, epoch: int) -> bytes:
    # The token makes the bytes ours alone: a lost reply is settled by comparing them.
    claim = {
        "epoch": epoch,
        "owner": owner,
        "token": uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "at_us": utc_now_us(),
    }
    return json.dumps(claim).encode()


def _is_whole(data: bytes) -> bool:
    try:
        decode_segment(data)
    except StoreError:
        return False
    return True


class _Fences:
    """Puts one owner's fences."""

    def __init__(self, blobs: Blobs, run: RunName, epoch: int, owner: str) -> None:
        self._blobs = blobs
        self._run = run
        self._epoch = epoch
        self._attrs = {"owner": owner, "token": uuid4().hex}
        self._at_us = utc_now_us()

    def stand(self, files: LogFiles) -> int:
        """Fence the end of the book; the first slot that is ours."""
        jump = 0
        while True:
            base = max(files.slots(), default=-1) + 1 + jump
            ours = range(base, base + WIDEST_WINDOW)
            if all(in_parallel(self._blobs, self.put, ours)):
                return base
            jump = max(_STRIDE, jump * _STRIDE)

    def put(self, slot: int) -> bool:
        """True if the slot is fenced by us; False if an earlier owner's segment is there.

        Raises:
            FencedError: it belongs to a later owner.
        """
        key = layout.segment(self._run, slot)
        if self._blobs.put_new(key, self._fence(slot)):
            return True
        if decode_segment(self._blobs.get(key)).epoch > self._epoch:
            raise fenced(self._run, self._epoch)
        return False

    def heal(self, slot: int) -> None:
        """Put a fence in the place of a file that a power cut left damaged; its bytes are kept.

        Looked at once more before: what could not be read at first may be an acknowledged result.

        Raises:
            StoreError: the store is a bucket, where no power cut leaves half an object.
        """
        key = layout.segment(self._run, slot)
        data = self._blobs.get(key)
        if _is_whole(data):
            return
        if not is_local(self._blobs):
            raise StoreError(
                f"the book of run {self._run!r} is damaged: {self._blobs.url}/{key} is no whole"
                " segment, though a bucket takes an object whole or not at all. Restore it (an"
                " earlier version, if the bucket keeps them); or delete it, and what it held is"
                " computed again."
            )
        kept = layout.damaged(self._run, slot, self._epoch)
        self._blobs.put_new(kept, data)
        logger.warning("%s/%s gives way to a fence: see %s", self._blobs.url, key, kept)
        self._blobs.put(key, self._fence(slot))

    def _fence(self, slot: int) -> bytes:
        event = Event(
            kind=EventKind.FENCE, at_us=self._at_us, action_id=ActionId(""), attrs=self._attrs
        )
        return encode([event], slot, self._epoch)
