"""How `flyte-ray diff` shows two runs side by side."""

from __future__ import annotations

from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.render import phase_text, print_document
from flyte_ray.cli.why_view import print_differences
from flyte_ray.client.explain.compare import Comparison, Parting, compare
from flyte_ray.client.progress import describe_seconds
from flyte_ray.client.progress_view import SHORT_ID
from flyte_ray.client.session import current_session

MOST_OTHERS = 10
MOST_TASKS = 10


def show(invocation: Invocation, before: str, after: str) -> None:
    """Carry out `flyte-ray diff`."""
    invocation.backend()
    found = compare(current_session().blobs(), before, after)
    if invocation.writes_json:
        print_document(invocation.out, asdict(found), invocation.options.output_format)
        return
    out = invocation.out
    _print_sides(out, found)
    _print_partings(out, found)
    _print_times(out, found)


def _print_sides(out: Console, found: Comparison) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for title in ("", found.before.run, found.after.run):
        table.add_column(title)
    sides = (found.before, found.after)
    table.add_row("status", *(phase_text(side.status) for side in sides))
    table.add_row("took", *(_seconds(side.took_s) for side in sides))
    table.add_row("work", *(_seconds(side.work_s) for side in sides))
    for name in ("ran", "cached", "recovered", "failed"):
        table.add_row(name, *(str(getattr(side, name)) for side in sides))
    out.print(table)


def _print_partings(out: Console, found: Comparison) -> None:
    if found.first is None:
        out.print("They agree in every action: same calls, code, inputs and results.")
        return
    out.print(Text.assemble("They part first at ", _text(found.first), ":"))
    print_differences(out, found.differences)
    if not found.differences:
        out.print(f"  only in {found.before.run if found.first.before else found.after.run}")
    if found.others:
        out.print(f"{len(found.others)} more differ:")
    for parting in found.others[:MOST_OTHERS]:
        out.print(Text.assemble("  ", _text(parting)))
    if len(found.others) > MOST_OTHERS:
        out.print(Text(f"  … and {len(found.others) - MOST_OTHERS} more", style="dim"))
    if found.code:
        out.print("Their code differs in:")
        print_differences(out, found.code)
    if found.packages:
        out.print("Packages of the two runs:")
        print_differences(out, found.packages)


def _text(parting: Parting) -> Text:
    ids = " ↔ ".join(each[:SHORT_ID] if each else "-" for each in (parting.before, parting.after))
    shown = ids if parting.before != parting.after else (parting.before or "")[:SHORT_ID]
    return Text.assemble(
        (parting.task, "bold"), (f" {shown} ", "dim"), f"({', '.join(parting.reasons)})"
    )


def _print_times(out: Console, found: Comparison) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("task")
    for title in ("calls", "calls", "work", "work", "change"):
        table.add_column(title, justify="right")
    for row in found.tasks[:MOST_TASKS]:
        change = row.after_s - row.before_s
        table.add_row(
            row.task,
            str(row.before_calls),
            str(row.after_calls),
            _seconds(row.before_s),
            _seconds(row.after_s),
            f"{'+' if change >= 0 else '-'}{describe_seconds(abs(change))}",
        )
    out.print(table)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else describe_seconds(seconds)
