"""Every log record knows its run and its action.

Formatters of authors use `%(run_name)s` and `%(action_name)s`, also on loggers that are none of
ours and in workers that never configure logging; a formatter that misses a field loses the line.
So the fields are added where records are made, not by a filter on our handlers. Outside an action
both are "-".

This room changes one global of `logging`, and chains to what stood there. It formats nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flyte_ray.core import context

NOWHERE = "-"


class StampedRecords:
    """A record factory that adds `run_name` and `action_name` to what another one makes."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        here = context.current()
        record.run_name = NOWHERE if here is None else here.run.name
        record.action_name = NOWHERE if here is None else here.action_id
        return record


def stamp_log_records() -> None:
    """Add the two fields to every record of this process. Idempotent."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, StampedRecords):
        logging.setLogRecordFactory(StampedRecords(make))
