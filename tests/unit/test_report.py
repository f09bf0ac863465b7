"""The report of an attempt: what it shows, and where it is stored."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from types import ModuleType
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flyte_ray import report
from flyte_ray.author.environment import TaskEnvironment
from flyte_ray.client.run import Run
from flyte_ray.core.context import current
from flyte_ray.errors import UsageError
from flyte_ray.report import Report, Tab, Timeline
from flyte_ray.report.shown import MOST_ROWS
from flyte_ray.testing.harness import LocalHarness, flyte_local
from tests.unit.author.fake_controller import in_action
from tests.unit.store.stores import DictBlobs

__all__ = ["flyte_local"]

KEY = "runs/r1/reports/a0/1.html"
env = TaskEnvironment(name="reports")


def stored(blobs: DictBlobs) -> str:
    return blobs.get(KEY).decode()


def test_a_page_is_stored_under_run_action_and_attempt() -> None:
    blobs = DictBlobs()
    with in_action(store=blobs, attempt=3):
        report.log("<p>one</p>")
        report.flush()
    assert "<p>one</p>" in blobs.get("runs/r1/reports/a0/3.html").decode()


def test_log_adds_and_replace_replaces() -> None:
    blobs = DictBlobs()
    with in_action(store=blobs):
        report.log("<p>one</p>")
        report.log("<p>two</p>", do_flush=True)
        assert "<p>one</p><p>two</p>" in stored(blobs)
        report.replace("<p>three</p>", do_flush=True)
    assert "<p>three</p>" in stored(blobs)
    assert "<p>one</p>" not in stored(blobs)


def test_the_awaited_forms_do_the_same() -> None:
    blobs = DictBlobs()

    async def body() -> None:
        await report.log.aio("<p>one</p>")
        await report.replace.aio("<p>two</p>")
        await report.flush.aio()

    with in_action(store=blobs):
        asyncio.run(body())
    assert "<p>two</p>" in stored(blobs)


def test_an_empty_report_is_not_stored() -> None:
    blobs = DictBlobs()
    with in_action(store=blobs):
        report.flush()
        report.get_tab("empty")
        report.flush()
    assert blobs.objects == {}


def test_tabs_are_shown_with_their_names_escaped_and_their_content_as_it_is() -> None:
    page = Report("<training>")
    page.get_tab("a<b").log("<i>raw</i>")
    page.get_tab("plots").log("<svg/>")
    html = page.get_final_report()
    assert "<title>&lt;training&gt;</title>" in html
    assert '<a href="#tab-0">a&lt;b</a><a href="#tab-1">plots</a>' in html
    assert "<i>raw</i>" in html
    assert "<svg/>" in html


def test_a_single_tab_needs_no_navigation() -> None:
    page = Report("r")
    page.get_tab("main").log("x")
    assert "<nav>" not in page.get_final_report()


class Figure:
    """As matplotlib's: it draws itself into a file."""

    def savefig(self, file: Any, *, format: str, **_: Any) -> None:
        file.write(b"\x89" + format.encode())

    def get_size_inches(self) -> tuple[float, float]:
        return 6.0, 4.0


class Axes:
    figure = Figure()


class Plot:
    """As plotly's: its script is not part of it."""

    __module__ = "plotly.graph_objs"

    def to_html(self, *, full_html: bool, include_plotlyjs: bool) -> str:
        assert (full_html, include_plotlyjs) == (False, False)
        return "<div>plot</div>"


class Drawing:
    def _repr_html_(self) -> str:
        return "<i>drawn</i>"


@pytest.mark.parametrize("content", [Figure(), Axes()])
def test_figures_stand_in_the_page_as_they_were_when_logged(content: object) -> None:
    tab = Tab("t")
    tab.log(content)
    (data,) = re.findall(
        r'<img alt="" width="576" src="data:image/png;base64,(.*?)">', tab.get_html()
    )
    assert base64.b64decode(data) == b"\x89png"


def test_the_script_of_plots_stands_in_the_page_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("plotly.offline")
    library.get_plotlyjs = lambda: "SCRIPT"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plotly", ModuleType("plotly"))
    monkeypatch.setitem(sys.modules, "plotly.offline", library)
    report = Report("r")
    assert "SCRIPT" not in report.get_final_report()
    report.get_tab("main").log(Plot())
    report.get_tab("more").log(Plot())
    assert report.get_final_report().count("<script>SCRIPT</script>") == 1
    assert report.get_final_report().count("<div>plot</div>") == 2


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a<b": [1.5, None], "c": ["<x>", None]}),
        pl.DataFrame({"a<b": [1.5, None], "c": ["<x>", None]}),
        pa.table({"a<b": [1.5, None], "c": ["<x>", None]}),
        [{"a<b": 1.5, "c": "<x>"}, {}],
    ],
    ids=lambda each: type(each).__module__,
)
def test_tables_are_drawn_with_their_texts_escaped(table: object) -> None:
    tab = Tab("t")
    tab.log(table)
    assert "<x>" not in tab.get_html()
    assert "a&lt;b" in tab.get_html()
    assert '<td class="number">1.5</td><td>&lt;x&gt;</td>' in tab.get_html()
    assert tab.get_html().count("&ndash;") == 2


def test_a_long_table_is_cut_and_says_so() -> None:
    tab = Tab("t")
    tab.log(pa.table({"n": list(range(MOST_ROWS + 5))}))
    assert tab.get_html().count("<tr>") == MOST_ROWS + 1
    assert f"{MOST_ROWS} of {MOST_ROWS + 5} rows" in tab.get_html()


def test_what_draws_itself_in_a_notebook_does_so_here_and_the_rest_is_text() -> None:
    tab = Tab("t")
    tab.log(Drawing())
    tab.log({"a": "<b>"})
    tab.replace(tab.get_html())
    assert tab.get_html() == "<i>drawn</i><pre>{&#x27;a&#x27;: &#x27;&lt;b&gt;&#x27;}</pre>"


def test_a_tab_is_made_when_it_is_asked_for_unless_told_otherwise() -> None:
    page = Report("r")
    assert page.get_tab("new") is page.get_tab("new")
    with pytest.raises(ValueError, match=r"no tab 'other'.*'main', 'new'"):
        page.get_tab("other", create_if_missing=False)


def test_outside_of_a_task_reporting_is_forgotten() -> None:
    report.log("<p>nobody</p>", do_flush=True)
    report.get_tab("any").log("x")
    assert report.current_report().is_empty


def test_one_attempt_has_one_report() -> None:
    with in_action(store=DictBlobs()):
        assert report.current_report() is report.current_report()
        here = current()
        assert here is not None
        assert here.bench.report is report.current_report()


def test_a_timeline_shows_steps_with_their_texts_escaped() -> None:
    with in_action(store=DictBlobs()):
        timeline = Timeline("steps")
        timeline.heading("Reading & more")
        timeline.row(icon="*", label="read", meta="12 ms")
        timeline.row(label="parse", detail="<3 files>", error="bad <line>")
        html = report.get_tab("steps").get_html()
    assert "<h3>Reading &amp; more</h3>" in html
    assert "* read" in html
    assert "&lt;3 files&gt;\nbad &lt;line&gt;" in html
    assert html.count("<details>") == 1


def test_tabs_take_writes_of_several_threads() -> None:
    tab = Tab("t")

    async def many() -> None:
        await asyncio.gather(*[asyncio.to_thread(tab.log, "x") for _ in range(200)])

    asyncio.run(many())
    assert tab.get_html() == "x" * 200


@pytest.mark.parametrize(
    ("value", "limit", "shown"),
    [("short", 10, "short"), ("exactly", 7, "exactly"), ("too long", 4, "too…"), (12, 5, "12")],
)
def test_long_texts_are_abbreviated(value: Any, limit: int, shown: str) -> None:
    assert report.abbreviate(value, limit) == shown


# ------------------------------------------------------------------- at the end of an attempt


@env.task(report=True)
async def reporting(fail: bool = False) -> int:
    report.log("<h1>kept</h1>")
    if fail:
        raise ValueError("no")
    return 1


@env.task
def silent() -> int:
    report.log("<h1>not asked for</h1>")
    return 1


@env.task
def flushing() -> int:
    report.log("<h1>flushed</h1>")
    report.flush()
    return 1


@env.task(report=True, retries=1)
def second_time() -> int:
    here = current()
    assert here is not None
    report.log(f"<h1>attempt {here.attempt}</h1>")
    report.flush()
    if here.attempt == 1:
        raise ValueError("not yet")
    return 1


def page_of(run: Run, **options: Any) -> str:
    return run.get_report(**options)


def test_a_task_that_asks_for_it_stores_its_report_when_it_succeeds(
    flyte_local: LocalHarness,
) -> None:
    run = flyte_local.run(reporting)
    assert "<h1>kept</h1>" in page_of(run)
    assert asyncio.run(run.get_report.aio()) == page_of(run) == run.action.get_report()


def test_without_the_flag_or_without_success_nothing_is_stored(flyte_local: LocalHarness) -> None:
    for run in (flyte_local.run(silent), flyte_local.run(reporting, fail=True)):
        with pytest.raises(UsageError, match="report=True"):
            page_of(run)


def test_a_flush_needs_no_flag(flyte_local: LocalHarness) -> None:
    assert "<h1>flushed</h1>" in page_of(flyte_local.run(flushing))


def test_each_attempt_has_its_own_and_the_last_one_is_shown(flyte_local: LocalHarness) -> None:
    run = flyte_local.run(second_time)
    assert "attempt 2" in page_of(run)
    assert "attempt 1" in page_of(run, attempt=1)
    with pytest.raises(UsageError):
        page_of(run, attempt=3)
