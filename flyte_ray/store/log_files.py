"""The files of one book as they lie in the store: which slots there are, and what stands in them.

Segments never change, so each is fetched once by one `LogFiles`, and a full chunk of 1000 slots is
listed once. Reading again while the run goes on therefore costs a LIST and the new segments. What
was folded into parts (`parts`) is read from there; slots that a part holds count as being there,
also when the log of an ended run has been taken away.

A file that is no whole segment can only be the work of a power cut on a disk without fsync, and
then nothing but fences comes after it: at the end of the book such files are passed over with a
warning, anywhere else they are an error. No room to read a file (`MemoryError`) is no such damage.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flyte_ray.core.ids import RunName
from flyte_ray.core.model import Event
from flyte_ray.core.ports import Blobs
from flyte_ray.errors import StoreError
from flyte_ray.store import layout
from flyte_ray.store.parallel import in_parallel
from flyte_ray.store.parts import cover, list_parts, load_part
from flyte_ray.store.segments import FENCES, Segment, decode_segment, segments_of

logger = logging.getLogger(__name__)

_TURNS = 5
"""So often the files are listed anew when some vanish while they are read."""


class LogFiles:
    """The segments of one run's book. Not thread-safe."""

    def __init__(self, blobs: Blobs, run: RunName) -> None:
        self._blobs = blobs
        self._run = run
        self._segments: dict[int, Segment] = {}
        self._slots: dict[int, set[int]] = {}
        self._damaged: dict[int, StoreError] = {}
        self._has_parts = False

    def slots(self) -> list[int]:
        """The slots that exist now, sorted. One LIST per chunk that is not full, and one or two."""
        # The log is listed before the parts: what is taken out of it lies in a part by then.
        names = self._blobs.list(layout.log(self._run))
        if not self._has_parts:
            self._read_parts()
        chunks = [n for n in map(layout.number, names) if n is not None]
        open_chunks = [c for c in chunks if len(self._slots.get(c, ())) < layout.SLOTS_PER_CHUNK]
        for chunk, found in zip(
            open_chunks, in_parallel(self._blobs, self._list_chunk, open_chunks), strict=True
        ):
            self._slots.setdefault(chunk, set()).update(found)
        return sorted(slot for found in self._slots.values() for slot in found)

    def segment(self, slot: int) -> Segment:
        """What stands in one slot. Raises `StoreError` for a damaged file."""
        known = self._segments.get(slot)
        if known is None:
            data = self._blobs.get(layout.segment(self._run, slot))
            known = self._segments[slot] = decode_segment(data)
        return known

    def segments(self, below: int | None = None) -> list[Segment]:
        """All segments there are now (below a slot), in order; see the top for damaged ones.

        Raises:
            StoreError: a file in the middle of the book cannot be read.
        """
        for _ in range(_TURNS):
            slots = [slot for slot in self.slots() if below is None or slot < below]
            try:
                self._fetch([slot for slot in slots if slot not in self._segments])
            except FileNotFoundError:
                # A slot was taken away since it was listed: its rows lie in a part.
                self._slots.clear()
                self._has_parts = False
                continue
            self._check_damage()
            return [self._segments[slot] for slot in slots if slot in self._segments]
        raise StoreError(
            f"the book of run {self._run!r} in {self._blobs.url} loses files while it is read: it"
            " is being removed"
        )

    def events(self, below: int | None = None) -> list[Event]:
        """All events there are now (below a slot), in the order of the book, without fences."""
        return [
            event
            for segment in self.segments(below)
            for event in segment.events
            if event.kind not in FENCES
        ]

    def damaged(self) -> list[int]:
        """The slots at the end of the book that hold no whole segment (after `segments`)."""
        return sorted(self._damaged)

    def _read_parts(self) -> None:
        """Take in what was folded; parts that vanish meanwhile have made way for wider ones."""
        for _ in range(_TURNS):
            chosen = [part for part, _ in cover(list_parts(self._blobs, self._run))]
            try:
                for found in in_parallel(self._blobs, self._read_part, chosen):
                    for segment in found:
                        self._segments.setdefault(segment.slot, segment)
                        chunk = segment.slot // layout.SLOTS_PER_CHUNK
                        self._slots.setdefault(chunk, set()).add(segment.slot)
            except FileNotFoundError:
                continue
            break
        self._has_parts = True

    def _read_part(self, part: tuple[int, int]) -> list[Segment]:
        rows = load_part(self._blobs, self._run, part)
        return [] if rows is None else segments_of(rows.table)

    def _fetch(self, missing: Sequence[int]) -> None:
        found = in_parallel(self._blobs, self._read, missing)
        self._damaged = {}
        for slot, segment in zip(missing, found, strict=True):
            if isinstance(segment, StoreError):
                self._damaged[slot] = segment
            else:
                self._segments[slot] = segment

    def _list_chunk(self, chunk: int) -> set[int]:
        names = self._blobs.list(layout.chunk(self._run, chunk))
        return {n for n in map(layout.number, names) if n is not None}

    def _read(self, slot: int) -> Segment | StoreError:
        """The segment, or why the file is none. Raises `StoreError` if the store is away."""
        data = self._blobs.get(layout.segment(self._run, slot))
        try:
            return decode_segment(data)
        except StoreError as error:
            return error

    def _check_damage(self) -> None:
        if not self._damaged:
            return
        first = min(self._damaged)
        if any(slot > first and not each.is_fence for slot, each in self._segments.items()):
            key = layout.segment(self._run, first)
            raise StoreError(
                f"the book of run {self._run!r} is damaged: {self._blobs.url}/{key} is no whole"
                " segment, and later ones are. Restore the file, or start the run anew."
            )
        for slot, error in self._damaged.items():
            key = layout.segment(self._run, slot)
            logger.warning("%s/%s cannot be read: %s", self._blobs.url, key, error)
