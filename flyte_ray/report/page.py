"""The page of a report: tabs with what was logged, in one HTML file that needs nothing else.

Figures and tables are turned into HTML when they are logged (`report/shown`), so that later changes
of them do not show. Scripts that several of them need stand in the page once.
"""

from __future__ import annotations

import html
import threading

from flyte_ray.report.shown import Shown, script_of, shown

MAIN = "main"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 0; color: #1f2328; background: #fff; }}
nav {{ display: flex; flex-wrap: wrap; gap: .25rem; padding: .5rem 1.25rem 0;
  border-bottom: 1px solid #d0d7de; background: #f6f8fa; position: sticky; top: 0; z-index: 9; }}
nav a {{ padding: .4rem .9rem .5rem; text-decoration: none; color: #59636e;
  border-bottom: 2px solid transparent; }}
nav a:hover {{ color: #1f2328; }}
section {{ padding: .75rem 1.25rem 2rem; scroll-margin-top: 5rem; }}
section > div.step {{ padding-left: 1rem; }}
section:not(:target) {{ display: none; }}
section.first {{ display: block; }}
section:target ~ section.first {{ display: none; }}
{current}
img, svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .75rem; border-bottom: 1px solid #d0d7de; text-align: left; }}
thead th {{ border-bottom: 2px solid #d0d7de; background: #f6f8fa; }}
td.number, th.number {{ text-align: right; }}
td.nothing, small {{ color: #59636e; }}
pre {{ padding: .75rem; background: #f6f8fa; border-radius: 6px; overflow-x: auto; }}
</style>{scripts}</head>
<body>
{nav}{sections}
</body></html>
"""
# The link of the tab that is shown; `:has` sees from the links to the sections below them.
_CURRENT = """body:not(:has(section:target)) nav a:first-child{others}
  {{ color: #1f2328; border-bottom-color: #0969da; }}"""


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
        self._parts: list[Shown] = []

    def log(self, content: object) -> None:
        """Add at the end: a text is HTML; figures, frames and lists of records are drawn."""
        part = shown(content)
        with self._lock:
            self._parts.append(part)

    def replace(self, content: object) -> None:
        """Put it in place of all there was."""
        part = shown(content)
        with self._lock:
            self._parts = [part]

    def get_html(self) -> str:
        """All of it."""
        with self._lock:
            return "".join(part.html for part in self._parts)

    def get_scripts(self) -> set[str]:
        """What its figures need."""
        with self._lock:
            return {part.script for part in self._parts if part.script}


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
        tabs = [tab for tab in self._tabs() if tab.get_html()]
        nav = "".join(
            f'<a href="#tab-{number}">{html.escape(tab.name)}</a>'
            for number, tab in enumerate(tabs)
        )
        sections = [
            f'<section id="tab-{number}"{" class=first" if number == 0 else ""}>'
            f"{tab.get_html()}</section>"
            for number, tab in enumerate(tabs)
        ]
        scripts = sorted({name for tab in tabs for name in tab.get_scripts()})
        numbers = range(len(tabs))
        others = "".join(f",\nbody:has(#tab-{n}:target) nav a:nth-child({n + 1})" for n in numbers)
        # The first tab comes last: the style sheet hides it when a tab before it is the target.
        return _PAGE.format(
            title=html.escape(self.name),
            current=_CURRENT.format(others=others) if len(tabs) > 1 else "",
            scripts="".join(map(script_of, scripts)),
            nav=f"<nav>{nav}</nav>\n" if len(tabs) > 1 else "",
            sections="\n".join([*sections[1:], *sections[:1]]),
        )

    def _tabs(self) -> list[Tab]:
        with self._lock:
            return list(self.tabs.values())
