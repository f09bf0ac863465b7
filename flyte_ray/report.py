"""PUBLIC: the report of a running task, a page of HTML with tabs, stored beside its outputs.

`log` adds to the tab "main", `replace` puts something in its place, `flush` stores the page as it
stands; each has an `.aio` form. With `@env.task(report=True)` the page is stored by itself when the
task succeeds. Read it with `run.get_report()`, or straight from the store:
`runs/<run>/reports/<action>/<attempt>.html`.

Content is HTML as the author wrote it; only names of tabs are escaped. Outside of a task there is a
report too, which forgets what it is told, so that the same code runs anywhere.
"""

from __future__ import annotations

import asyncio
import html
import threading
import time
from datetime import timedelta

from flyte_ray._syncify import syncify
from flyte_ray.core.context import ActionContext, current
from flyte_ray.store import layout

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

MAIN = "main"
_making = threading.Lock()

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #fff; }}
nav {{ display: flex; gap: .25rem; padding: .5rem 1rem 0; border-bottom: 1px solid #ccc; }}
nav a {{ padding: .4rem .9rem; text-decoration: none; color: #333; }}
nav a:hover {{ background: #eee; }}
section {{ padding: 1rem; }}
section:not(:target) {{ display: none; }}
section.first {{ display: block; }}
section:target ~ section.first {{ display: none; }}
</style></head>
<body>
{nav}{sections}
</body></html>
"""


class Tab:
    """One page of a report. Thread-safe.

    Example:
        >>> tab = Tab("plots")
        >>> tab.log("<p>one</p>")
        >>> tab.log("<p>two</p>")
        >>> tab.get_html()
        '<p>one</p><p>two</p>'
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._parts: list[str] = []

    def log(self, content: str) -> None:
        """Add HTML at the end."""
        with self._lock:
            self._parts.append(str(content))

    def replace(self, content: str) -> None:
        """Put HTML in place of all there was."""
        with self._lock:
            self._parts = [str(content)]

    def get_html(self) -> str:
        """All of it."""
        with self._lock:
            return "".join(self._parts)


class Report:
    """The tabs of one attempt. Thread-safe.

    Example:
        >>> report = Report("training")
        >>> report.get_tab("loss").log("<b>0.1</b>")
        >>> "<b>0.1</b>" in report.get_final_report()
        True
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self.tabs: dict[str, Tab] = {MAIN: Tab(MAIN)}

    def get_tab(self, name: str, /, create_if_missing: bool = True) -> Tab:
        """The tab of that name.

        Raises:
            ValueError: there is none, and none was to be made.
        """
        with self._lock:
            tab = self.tabs.get(name)
            if tab is None:
                if not create_if_missing:
                    known = ", ".join(repr(each) for each in self.tabs)
                    raise ValueError(
                        f"report {self.name!r} has no tab {name!r}; it has {known}. Leave "
                        "create_if_missing out to make one."
                    )
                tab = self.tabs[name] = Tab(name)
            return tab

    @property
    def is_empty(self) -> bool:
        """True while nothing was written to any tab."""
        return not any(tab.get_html() for tab in self._tabs())

    def get_final_report(self) -> str:
        """The whole page as it stands; empty tabs are left out."""
        shown = [tab for tab in self._tabs() if tab.get_html()]
        nav = "".join(
            f'<a href="#tab-{number}">{html.escape(tab.name)}</a>'
            for number, tab in enumerate(shown)
        )
        sections = [
            f'<section id="tab-{number}"{" class=first" if number == 0 else ""}>'
            f"{tab.get_html()}</section>"
            for number, tab in enumerate(shown)
        ]
        # The first tab comes last: the style sheet hides it when a tab before it is the target.
        return _PAGE.format(
            title=html.escape(self.name),
            nav=f"<nav>{nav}</nav>\n" if len(shown) > 1 else "",
            sections="\n".join([*sections[1:], *sections[:1]]),
        )

    def _tabs(self) -> list[Tab]:
        with self._lock:
            return list(self.tabs.values())


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


@syncify
async def log(content: str, do_flush: bool = False) -> None:
    """Add HTML to the tab "main"; `do_flush` stores the page too.

    Example:
        >>> log("<h1>Results</h1>")
    """
    current_report().get_tab(MAIN).log(content)
    if do_flush:
        await flush.aio()


@syncify
async def replace(content: str, do_flush: bool = False) -> None:
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


def store_report(here: ActionContext) -> None:
    """Store what an attempt has reported, if anything. Blocks for one write."""
    report: Report | None = here.bench.report
    if report is None or report.is_empty or here.store is None:
        return
    key = layout.report(here.run.name, here.action_id, here.attempt)
    here.store.put(key, report.get_final_report().encode("utf-8", "replace"))


class Timeline:
    """A list of steps that grows while a task runs, in a tab of its report.

    Example:
        >>> timeline = Timeline("steps")
        >>> timeline.heading("Preparing")
        >>> timeline.row(label="read", meta="12 ms", detail="3 files")
    """

    def __init__(self, tab_name: str = MAIN) -> None:
        self._tab = get_tab(tab_name)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._tab.log(f"<h3>{html.escape(text)}</h3>")

    def row(
        self,
        *,
        icon: str = "",
        label: str = "",
        meta: str = "",
        detail: str = "",
        error: str | bool | None = None,
    ) -> None:
        """Add a step; all texts are escaped.

        Args:
            icon: a character in front.
            label: what was done.
            meta: a short remark beside it, such as how long it took.
            detail: shown when the row is opened.
            error: what went wrong, or True to mark the row.
        """
        colour = "#b00020" if error else "inherit"
        text = " ".join(html.escape(part) for part in (icon, label) if part)
        said = "\n".join(part for part in (detail, error if isinstance(error, str) else "") if part)
        head = (
            f'<span style="color:{colour}">{text}</span> '
            f'<small style="color:#666">{html.escape(meta)}</small>'
        )
        if said:
            body = f"<pre>{html.escape(said)}</pre>"
            self._tab.log(f"<details><summary>{head}</summary>{body}</details>")
        else:
            self._tab.log(f"<div>{head}</div>")


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
