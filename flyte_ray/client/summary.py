"""How a run ended, in a few lines: figures, outputs, where the record lies, what to try next."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flyte_ray.client.progress import describe_seconds, describe_url
from flyte_ray.client.progress_view import PHASE_MARKS, PHASE_STYLES
from flyte_ray.client.run import Run
from flyte_ray.core.ids import RunName
from flyte_ray.core.progress import Progress

LONGEST_OUTPUT = 500
WIDTH = 110


def closing_summary(run: Run) -> str:
    """The summary of a run that has ended, as text for a script to print.

    Example:
        >>> print(closing_summary(run))  # doctest: +SKIP
    """
    progress = run.progress()
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=False)
    console.print(outcome_panel(progress, run.url, {}, next_steps(run.name, progress)))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as given above
    return str(text).rstrip()


def next_steps(run: str | RunName, progress: Progress) -> list[str]:
    """The commands that someone will want next."""
    if progress.phase.is_success:
        return [f"flyte-ray get actions {run}"]
    steps = [f"flyte-ray rerun {run} --recover"]
    if progress.failures:
        steps.insert(0, f"flyte-ray get logs {run} {progress.failures[0].action_id}")
    return steps


def outcome_panel(
    progress: Progress, url: str, outputs: Mapping[str, Any], hints: Iterable[str] = ()
) -> RenderableType:
    """The end of a run: its figures, its outputs, where the record lies, what to try next."""
    totals = progress.totals
    figures = {
        "ran": totals.succeeded + totals.failed + totals.timed_out,
        "cached": totals.cached,
        "recovered": totals.recovered,
        "failed": totals.failed + totals.timed_out,
    }
    if totals.aborted:
        figures["aborted"] = totals.aborted
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    counted = " · ".join(f"{number} {word}" for word, number in figures.items())
    grid.add_row("actions", f"{counted}   in {describe_seconds(progress.elapsed_s)}")
    for name, value in outputs.items():
        text = value if isinstance(value, str) else repr(value)
        cut = text if len(text) <= LONGEST_OUTPUT else f"{text[: LONGEST_OUTPUT - 1]}…"
        grid.add_row(name, Text(cut))
    grid.add_row("record", describe_url(url))
    for hint in hints:
        grid.add_row("next", Text(hint, style="bold"))
    style = PHASE_STYLES[progress.phase]
    mark = PHASE_MARKS[progress.phase]
    title = Text.assemble((f"{mark} ", style), (progress.run, "bold"), f" {progress.phase}")
    panel = Panel(grid, title=title, title_align="left", border_style=style, expand=False)
    return Constrain(panel, WIDTH)  # a pipe is taken for a screen of any width
