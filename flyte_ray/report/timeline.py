"""A list of steps in a report, for tasks that do many things one after another."""

from __future__ import annotations

import html

from flyte_ray.report.page import MAIN
from flyte_ray.report.running import get_tab


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
            self._tab.log(f'<div class="step">{head}</div>')
