"""How a run in progress looks on a terminal: a header, a bar per task, the latest failures.

    ⠙ brisk-otter-x7k2  running  12.3 s   /home/ada/.flyte_ray/store/runs/brisk-otter-x7k2
      analyse  ━━━━━━━━━━━━━━━━━━━━━──────  847/1000  1 failed · 12 running · 141 queued
      train    ───────────────────────────    0/1     1 queued
      ✗ analyse  ValueError: item 847 is bad                                  a7d9…

The height is bounded whatever the run does: at most `MOST_ROWS` tasks, those that are under way
first, the others summed up in one line. Drawing only; the watching is in `client/progress`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from flyte_ray.client.progress import describe_counts, describe_seconds, describe_url
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.progress import Counts, Progress, short_names

MOST_ROWS = 12
BAR_WIDTH = 28
NARROW_BAR_WIDTH = 12
NARROW_TERMINAL = 90
LONGEST_NAME = 24
SHORTEST_NAME = 8
SHORT_ID = 10
"""So many characters of an action's id are shown; commands accept any unambiguous beginning."""
SEPARATOR = " · "
BAD_ENDS = ("failed", "timed out", "aborted")

PHASE_STYLES: Mapping[ActionPhase, str] = {
    ActionPhase.QUEUED: "yellow",
    ActionPhase.WAITING_FOR_RESOURCES: "yellow",
    ActionPhase.INITIALIZING: "yellow",
    ActionPhase.RUNNING: "blue",
    ActionPhase.PAUSED: "magenta",
    ActionPhase.SUCCEEDED: "green",
    ActionPhase.FAILED: "red",
    ActionPhase.ABORTED: "red",
    ActionPhase.TIMED_OUT: "red",
    ActionPhase.RECOVERED: "cyan",
}
PHASE_MARKS: Mapping[ActionPhase, str] = {
    ActionPhase.QUEUED: "○",
    ActionPhase.WAITING_FOR_RESOURCES: "○",
    ActionPhase.INITIALIZING: "○",
    ActionPhase.RUNNING: "●",
    ActionPhase.PAUSED: "‖",
    ActionPhase.SUCCEEDED: "✓",
    ActionPhase.FAILED: "✗",
    ActionPhase.ABORTED: "✗",
    ActionPhase.TIMED_OUT: "✗",
    ActionPhase.RECOVERED: "↺",
}
ASCII_MARKS = str.maketrans("○●‖✓✗↺━─·…", "o*=+x@#-|.")
"""For terminals that are not UTF-8."""


class LiveView:
    """The view, redrawn in place; what the run prints meanwhile appears above it."""

    def __init__(self, url: str, console: Console | None) -> None:
        self._url = url
        self._console = console or Console(stderr=True)
        self._spinner = Spinner("dots", style="blue")
        self._live = Live(console=self._console, refresh_per_second=8)
        self._last: Progress | None = None

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._last is not None and not self._last.phase.is_terminal:
            # What stays on the screen must not look as if it still turned.
            left = self._last.notice or "no longer watched"
            self._live.update(self._drawn(replace(self._last, notice=left), None))
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Redraw; at once when the run has ended, else with the next refresh."""
        self._last = progress
        spinner = None if progress.phase.is_terminal else self._spinner
        view = self._drawn(progress, spinner)
        self._live.update(view, refresh=progress.phase.is_terminal)

    def _drawn(self, progress: Progress, spinner: Spinner | None) -> RenderableType:
        is_unicode = self._console.encoding == "utf-8"
        width = self._console.width
        return draw(progress, self._url, spinner, unicode=is_unicode, width=width)


def draw(
    progress: Progress,
    url: str,
    spinner: Spinner | None = None,
    *,
    unicode: bool = True,
    width: int = 100,
) -> RenderableType:
    """One look at a run as a picture."""
    parts: list[RenderableType] = [_header(progress, url, spinner, unicode)]
    if progress.tasks:
        parts.append(_bars(progress, width, unicode))
    parts.extend(_failures(progress, unicode))
    if progress.notice:
        parts.append(
            Text(
                f"  ! {progress.notice}", style="yellow", no_wrap=True, overflow=_overflow(unicode)
            )
        )
    return Group(*parts)


def _header(progress: Progress, url: str, spinner: Spinner | None, unicode: bool) -> RenderableType:
    style = PHASE_STYLES[progress.phase]
    mark = _plain(PHASE_MARKS[progress.phase], unicode)
    words = Text.assemble(
        (progress.run, "bold"),
        "  ",
        (str(progress.phase), style),
        f"  {describe_seconds(progress.elapsed_s)}  ",
        (describe_url(url), "dim"),
        overflow="fold",
    )
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(mark, style=style) if spinner is None else spinner, words)
    return grid


def _bars(progress: Progress, width: int, unicode: bool) -> RenderableType:
    """A line per task; on a narrow terminal bar and name are shorter, and each line is cut."""
    rows = _rows(progress)
    figures = {name: f"{counts.done}/{counts.total}" for name, counts in rows.items()}
    figures_width = max(map(len, figures.values()))
    bar_width = BAR_WIDTH if width >= NARROW_TERMINAL else NARROW_BAR_WIDTH
    room = max(SHORTEST_NAME, width - bar_width - figures_width - 8)
    name_width = min(max(map(len, rows)), LONGEST_NAME, room)
    lines = []
    for name, counts in rows.items():
        line = Text("  ", no_wrap=True, overflow=_overflow(unicode))
        line.append(_plain(_fitted(name, name_width), unicode) + "  ")
        line.append_text(bar(counts, unicode, bar_width))
        line.append(f"  {figures[name]:>{figures_width}}  ")
        separator = _plain(SEPARATOR, unicode)
        for place, words in enumerate(describe_counts(counts)):
            line.append(separator if place else "", style="dim")
            line.append(words, style="red" if words.endswith(BAD_ENDS) else "dim")
        lines.append(line)
    return Group(*lines)


def _fitted(name: str, width: int) -> str:
    return f"{name:<{width}}" if len(name) <= width else name[: width - 1] + "…"


def _rows(progress: Progress) -> dict[str, Counts]:
    """Tasks to show, by display name; the root only where it is all there is."""
    names = short_names(progress.tasks)
    shown = {task: counts for task, counts in progress.tasks.items() if task != progress.root_task}
    if not shown or progress.tasks.get(progress.root_task, Counts()).total > 1:
        shown = dict(progress.tasks)
    if len(shown) <= MOST_ROWS:
        return {names[task]: counts for task, counts in shown.items()}
    by_interest = sorted(shown, key=lambda task: shown[task].done == shown[task].total)
    kept = set(by_interest[: MOST_ROWS - 1])
    rows = {names[task]: counts for task, counts in shown.items() if task in kept}
    others = [counts for task, counts in shown.items() if task not in kept]
    return rows | {f"… {len(others)} other tasks": sum(others, Counts())}


def bar(counts: Counts, unicode: bool = True, width: int = BAR_WIDTH) -> Text:
    """Shares of a task's actions by colour; whatever there is at least one of is visible."""
    shares = [
        ("green", counts.succeeded),
        ("cyan", counts.cached + counts.recovered),
        ("red", counts.unsuccessful),
        ("blue", counts.running),
    ]
    text = Text()
    for style, number in shares:
        cells = min(_cells(number, counts.total, width), width - len(text))
        text.append(_plain("━" * cells, unicode), style=style)
    text.append(_plain("─" * (width - len(text)), unicode), style="dim")
    return text


def _cells(number: int, total: int, width: int) -> int:
    if not number or not total:
        return 0
    return max(1, number * width // total)


def _failures(progress: Progress, unicode: bool) -> list[RenderableType]:
    names = short_names([failure.task for failure in progress.failures])
    lines: list[RenderableType] = []
    for failure in progress.failures:
        line = Text("  ", no_wrap=True, overflow=_overflow(unicode))
        line.append(_plain("✗ ", unicode), style="red")
        name = names[failure.task]
        short = _plain(_fitted(name, min(len(name), LONGEST_NAME)), unicode)
        line.append(f"{short} ", style="bold")
        line.append(f"{failure.action_id[:SHORT_ID]}  ", style="dim")
        line.append(failure.message)
        lines.append(line)
    return lines


def _overflow(unicode: bool) -> OverflowMethod:
    return "ellipsis" if unicode else "crop"


def _plain(text: str, unicode: bool) -> str:
    return text if unicode else text.translate(ASCII_MARKS)
