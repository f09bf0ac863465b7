"""How a run stands: what tells a removal whether anything has happened to it since it was planned.

No two claims have the same bytes, so a new owner shows, and so does another run that was given the
name of one that is gone. An owner that was thought dead shows by its heartbeat.
"""

from __future__ import annotations

from dataclasses import dataclass

from flyte_ray.core.calls import RunSpec
from flyte_ray.core.ids import RunName
from flyte_ray.core.ports import Blobs
from flyte_ray.store import layout
from flyte_ray.store.compaction import final_of
from flyte_ray.store.ownership import latest_epoch
from flyte_ray.store.run_file import Heartbeat, read_heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One look at a run."""

    started_us: int
    claim: bytes | None
    """The latest owner's."""
    ended_us: int | None
    beat: Heartbeat | None

    def is_that_of(self, earlier: Standing) -> bool:
        """True if nothing has happened since; that the heartbeat was taken away is nothing."""
        beats = (earlier.beat, None)
        return self.beat in beats and (self.started_us, self.claim, self.ended_us) == (
            earlier.started_us,
            earlier.claim,
            earlier.ended_us,
        )


def standing_of(blobs: Blobs, spec: RunSpec) -> Standing:
    """How the run of this description stands. A change while this looks shows in the next look."""
    claim = latest_claim(blobs, spec.name)  # first: a takeover after it makes the next one differ
    final = final_of(blobs, spec.name)
    beat = read_heartbeat(blobs, spec.name)
    return Standing(
        started_us=spec.started_us,
        claim=claim,
        ended_us=None if final is None else final.get("ended_us"),
        beat=beat,
    )


def latest_claim(blobs: Blobs, run: RunName) -> bytes | None:
    """What the latest owner has put to become it; None if the run never had one."""
    epoch = latest_epoch(blobs, run)
    try:
        return blobs.get(layout.owner(run, epoch)) if epoch else None
    except FileNotFoundError:
        return None  # being removed
