"""How a run ended, as its record alone tells: for whoever has not heard it from the host."""

from __future__ import annotations

import json

from flyte_ray.core.failure import ErrorInfo
from flyte_ray.core.ids import ROOT_ACTION, RunName
from flyte_ray.core.model import Settled
from flyte_ray.store.catalog import Catalog


def recorded_end(catalog: Catalog, run: RunName) -> Settled | None:
    """How the root ended; None while the run's last row is not there.

    Raises:
        RunNotFoundError: there is no such run in this store.
    """
    record = catalog.run(run)
    if record.ended_us is None:
        return None
    root = catalog.actions(run).get(ROOT_ACTION)
    error = root.error if root is not None else record.error
    return Settled(
        phase=record.phase,
        outputs=root.outputs if root is not None else None,
        error=ErrorInfo.from_dict(json.loads(error)) if error else None,
    )
