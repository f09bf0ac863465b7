"""PUBLIC: the report of a running task, a page of HTML with tabs, stored beside its outputs.

`log` adds to the tab "main", `replace` puts something in its place, `flush` stores the page as it
stands; each has an `.aio` form. With `@env.task(report=True)` the page is stored by itself when the
task succeeds. Read it with `run.get_report()`, or straight from the store:
`runs/<run>/reports/<action>/<attempt>.html`.

A text is HTML as its author wrote it; only names of tabs are escaped. Figures of matplotlib and
plotly, frames, lists of records and whatever draws itself in a notebook can be logged as they are;
the page holds all they need. Outside of a task there is a report too, which forgets what it is
told, so that the same code runs anywhere.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from flyte_ray._syncify import syncify
from flyte_ray.core.context import current
from flyte_ray.report.page import MAIN, Report, Tab
from flyte_ray.report.running import current_report, get_tab, store_report
from flyte_ray.report.timeline import Timeline

__all__ = [
    "Report",
    "Tab",
    "Timeline",
    "abbreviate",
    "current_report",
    "duration_ms",
    "flush",
    "get_tab",
    "log",
    "replace",
    "store_report",
]


@syncify
async def log(content: object, do_flush: bool = False) -> None:
    """Add HTML, a figure or a table to the tab "main"; `do_flush` stores the page too.

    Example:
        >>> log("<h1>Results</h1>")
    """
    current_report().get_tab(MAIN).log(content)
    if do_flush:
        await flush.aio()


@syncify
async def replace(content: object, do_flush: bool = False) -> None:
    """Put HTML in place of what the tab "main" shows; `do_flush` stores the page too.

    Example:
        >>> replace("<h1>Results, again</h1>")
    """
    current_report().get_tab(MAIN).replace(content)
    if do_flush:
        await flush.aio()


@syncify
async def flush() -> None:
    """Store the page as it stands now, in place of what this attempt stored before.

    Example:
        >>> flush()
    """
    here = current()
    if here is not None:
        await asyncio.to_thread(store_report, here)


def abbreviate(value: object, limit: int = 200) -> str:
    """A text of at most `limit` characters, its end replaced by an ellipsis where it is longer.

    Example:
        >>> abbreviate("a long story", 7)
        'a long…'
    """
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def duration_ms(duration: float | timedelta, until: float | None = None) -> float:
    """Milliseconds of a duration, or from one reading of `time.monotonic` to another.

    Args:
        duration: a `timedelta`, or an earlier reading of the clock in seconds.
        until: the later reading; now by default.

    Example:
        >>> duration_ms(timedelta(seconds=1.5)), duration_ms(10.0, 10.25)
        (1500.0, 250.0)
    """
    if isinstance(duration, timedelta):
        return duration / timedelta(milliseconds=1)
    return ((time.monotonic() if until is None else until) - duration) * 1000
