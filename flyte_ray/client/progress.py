"""Watching a run: look at it now and then, and show what changed, until it has ended.

Two ways to show it: a live view on a terminal (`client/progress_view`), plain lines elsewhere, one
when something changed and at most one every two seconds, so that a log file of a long run stays
short. It goes to stderr; results are the caller's business.

This room never changes the run: Ctrl-C passes through, and who called decides what it means.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from flyte_ray.core.progress import Counts, Progress, RecentFailure, short_names

if TYPE_CHECKING:
    from rich.console import Console

VIEW = "flyte_ray.client.progress_view"
FIRST_LOOK_S = 0.02
SLOWEST_LOOK_S = 0.3
PLAIN_LINE_EVERY_S = 2.0


class Watched(Protocol):
    """What watching needs of a run."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    def progress(self) -> Progress:
        """One look; cheap enough for several a second."""
        ...


class Display(Protocol):
    """Something that shows a run while it goes on; a context manager around the watching."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *error: object) -> None: ...
    def show(self, progress: Progress) -> None: ...


def follow(
    run: Watched,
    *,
    quiet: bool = False,
    console: Console | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Progress:
    """Watch a run until it has ended; returns the last look.

    Args:
        run: what to watch; one that has ended already is shown once.
        quiet: show nothing.
        console: where to show it; default: stderr.
        pause: waits between two looks; hand in an event's `wait` to be woken at the end. When it
            returns true there is nothing more to wait for, whatever the look says: a run whose
            store or host was lost never shows an end.
    """
    with _display(run, quiet=quiet, console=console) as display:
        between = FIRST_LOOK_S
        is_over = False
        while True:
            progress = run.progress()
            display.show(progress)
            if is_over or progress.phase.is_terminal:
                return progress
            is_over = bool(pause(between))
            between = min(between * 1.5, SLOWEST_LOOK_S)


def _display(run: Watched, *, quiet: bool, console: Console | None) -> Display:
    if quiet:
        return Silence()
    if console is None and not sys.stderr.isatty():
        return PlainLines(run.url, sys.stderr)
    if console is not None and not console.is_terminal and not console.is_jupyter:
        return PlainLines(run.url, console.file)
    # rich costs 50 ms to import, and most runs (in jobs, in tests, in pipes) never draw.
    display: Display = importlib.import_module(VIEW).LiveView(run.url, console)
    return display


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""

    def show(self, progress: Progress) -> None:
        """Nothing."""


class PlainLines:
    """One line when something changed, no more often than `PLAIN_LINE_EVERY_S`, and one at the end.

    Times are the run's own (`elapsed_s`), so that what is printed follows from what was seen.
    """

    def __init__(self, url: str, out: IO[str]) -> None:
        self._url = url
        self._out = out
        self._last: tuple[object, ...] | None = None
        self._last_s = 0.0
        self._told: list[RecentFailure] = []
        self._notice = ""

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *error: object) -> None:
        self._out.flush()

    def show(self, progress: Progress) -> None:
        """Print a line if it is worth one."""
        if self._last is None:
            self._print(f"{progress.run}: {describe_url(self._url)}")
        for failure in progress.failures:
            if failure not in self._told:
                self._print(f"{progress.run}: {describe_failure(failure)}")
        self._told = list(progress.failures)
        if progress.notice and not self._notice:
            self._print(f"{progress.run}: {progress.notice}")
        self._notice = progress.notice
        state = (progress.phase, dict(progress.tasks))
        waited = self._last is None or progress.elapsed_s - self._last_s >= PLAIN_LINE_EVERY_S
        if state != self._last and (waited or progress.phase.is_terminal):
            self._last, self._last_s = state, progress.elapsed_s
            self._print(plain_line(progress))

    def _print(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def plain_line(progress: Progress) -> str:
    """`r1: running after 12.3 s: 847 of 1000 done, 12 running (analyse 846/998)`."""
    totals = progress.totals
    figures = [f"{totals.done} of {totals.total} done", *describe_counts(totals)]
    names = short_names(progress.tasks)
    active = [
        f"{names[task]} {counts.done}/{counts.total}"
        for task, counts in progress.tasks.items()
        if counts.done < counts.total and task != progress.root_task
    ]
    tasks = f" ({', '.join(active[:4])})" if active else ""
    after = describe_seconds(progress.elapsed_s)
    return f"{progress.run}: {progress.phase} after {after}: {', '.join(figures)}{tasks}"


def describe_counts(counts: Counts) -> list[str]:
    """`["1 failed", "12 running"]`: what is not plainly done, the worst first, without zeros."""
    named = {
        "failed": counts.failed,
        "timed out": counts.timed_out,
        "aborted": counts.aborted,
        "running": counts.running,
        "queued": counts.queued,
        "cached": counts.cached,
        "recovered": counts.recovered,
    }
    return [f"{number} {word}" for word, number in named.items() if number]


def describe_failure(failure: RecentFailure) -> str:
    """`env.f (a7d9…) failed: item 847 is bad`."""
    return f"{failure.task} ({failure.action_id}) failed: {failure.message}"


def describe_url(url: str) -> str:
    """A place in the store as people type it: below the home folder with `~`."""
    try:
        home = f"{Path.home()}{os.sep}"
    except RuntimeError:
        return url  # nobody's home
    return f"~/{url[len(home) :]}" if url.startswith(home) and home != "//" else url


def describe_seconds(seconds: float) -> str:
    """`850 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
