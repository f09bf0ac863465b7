"""The report of the attempt that is running here, one per attempt, and where it is stored."""

from __future__ import annotations

import threading

from flyte_ray.core.context import ActionContext, current
from flyte_ray.report.page import Report, Tab
from flyte_ray.store import layout

_making = threading.Lock()


def current_report() -> Report:
    """The running attempt's report; outside of a task one that nobody will see.

    Example:
        >>> current_report().name
        'nowhere'
    """
    here = current()
    if here is None:
        return Report("nowhere")
    with _making:  # threads of one attempt share one report
        report: Report | None = here.bench.report
        if report is None:
            report = here.bench.report = Report(here.task)
        return report


def get_tab(name: str, /, create_if_missing: bool = True) -> Tab:
    """A tab of the running attempt's report.

    Raises:
        ValueError: there is none, and none was to be made.

    Example:
        >>> get_tab("plots").log("<img src=...>")
    """
    return current_report().get_tab(name, create_if_missing)


def store_report(here: ActionContext) -> None:
    """Store what an attempt has reported, if anything. Blocks for one write."""
    report: Report | None = here.bench.report
    if report is None or report.is_empty or here.store is None:
        return
    key = layout.report(here.run.name, here.action_id, here.attempt)
    page = report.get_final_report()
    if here.bench.veil is not None:
        page = here.bench.veil.masked(page)
    here.store.put(key, page.encode("utf-8", "replace"))
