"""What a cancelled attempt still has to say: when and where it ran, what it printed.

A cancelled attempt ends in a `CancelledError`, so its outcome travels on that very object. (A
subclass would not do: `asyncio.timeout` recognises `CancelledError` itself and nothing else.)
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from flyte_ray.core.model import Outcome

T = TypeVar("T")
_ATTRIBUTE = "flyte_ray_outcome"


def carrying(outcome: Outcome | None) -> asyncio.CancelledError:
    """A cancellation that knows how the attempt ended."""
    error = asyncio.CancelledError()
    setattr(error, _ATTRIBUTE, outcome)
    return error


def carried(error: asyncio.CancelledError) -> Outcome | None:
    """What `carrying` put there; None for any other cancellation."""
    outcome: Outcome | None = getattr(error, _ATTRIBUTE, None)
    return outcome


async def outlast(ended: asyncio.Future[T], patience_s: float) -> bool:
    """Wait for what is being stopped, whoever cancels the waiting meanwhile; True if it ended.

    A parent that is cancelled cancels its children, and once more those that are left when its
    body has ended: the second time must not cut the stopping short.
    """
    give_up_at = asyncio.get_running_loop().time() + patience_s
    while (left_s := give_up_at - asyncio.get_running_loop().time()) > 0:
        try:
            done, _ = await asyncio.wait({ended}, timeout=left_s)
        except asyncio.CancelledError:
            continue
        return bool(done)
    return ended.done()
