"""Ending a run that nobody carries any more: its owner was killed, or its machine is gone.

A letter would never be read there. So the run's book is taken over, which fences the owner should
it still live, and closed: what was under way counts as aborted, what had succeeded stays.
"""

from __future__ import annotations

from flyte_ray import errors
from flyte_ray.client.session import Session
from flyte_ray.client.watch import silent_s
from flyte_ray.core.ids import RunName
from flyte_ray.engine.clock import SystemClock
from flyte_ray.engine.desk import DeskTools, HostDesk
from flyte_ray.engine.naming import owner_name
from flyte_ray.store.catalog import Catalog


def end_if_abandoned(session: Session, name: RunName, reason: str) -> bool:
    """Close the record of a run that gives no sign of life; False if it does, or has ended.

    Raises:
        RunNotFoundError: there is no such run.
        StoreError: the store cannot be written.
    """
    record = Catalog(session.blobs()).run(name)
    if silent_s(record) is None:
        return False
    tools = DeskTools(
        blobs=session.blobs(), cache=session.cache(), clock=SystemClock(), owner=owner_name()
    )
    try:
        HostDesk(tools).end_abandoned(name, reason)
    except errors.FencedError:
        return False  # somebody else was faster: it lives, or was ended just now
    return True
