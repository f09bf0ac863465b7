"""How `flyte-ray plan` shows a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.load import AnyTask
from flyte_ray.cli.render import print_document
from flyte_ray.client.explain.forecast import Forecast, forecast
from flyte_ray.client.progress import describe_seconds
from flyte_ray.client.session import current_session

_STYLES = {"cached": "cyan", "runs": "bold", "new": "bold", "depends": "yellow"}


def show(
    invocation: Invocation, task: AnyTask, inputs: Mapping[str, Any], *, uses_cache: bool
) -> None:
    """Carry out `flyte-ray plan`."""
    invocation.backend()
    found = forecast(current_session(), task, inputs, uses_cache=uses_cache)
    if invocation.writes_json:
        document = {**asdict(found), "work_s": found.work_s}
        print_document(invocation.out, document, invocation.options.output_format)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task")
    table.add_column("calls", justify="right")
    table.add_column("verdict")
    table.add_column("usually", justify="right")
    table.add_column("because")
    for step in found.steps:
        usual = "?" if step.usual_s is None else describe_seconds(step.usual_s)
        verdict = Text(step.verdict, style=_STYLES.get(step.verdict, ""))
        shown = "" if step.verdict == "cached" else usual
        table.add_row(step.task, str(step.count), verdict, shown, step.reason)
    invocation.out.print(table)
    invocation.out.print(_summary(found))


def _summary(found: Forecast) -> Text:
    if found.basis is None and found.steps[0].verdict == "cached":
        return Text("The whole run would be answered from the cache.")
    if found.basis is None:
        return Text("No earlier run of this task: what it calls is not known.", style="dim")
    runs = found.count("runs") + found.count("new")
    return Text(
        f"{found.count('cached')} cached, {runs} to run, {found.count('depends')} depending on "
        f"these; about {describe_seconds(found.work_s)} of work. Calls as in run {found.basis}."
    )
