"""How `flyte-ray why` and `flyte-ray diff` show differences: a line each, code as a diff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.render import print_document
from flyte_ray.client.explain.parting import Difference
from flyte_ray.client.explain.why import Why, why
from flyte_ray.client.progress_view import SHORT_ID
from flyte_ray.client.session import current_session

_STYLES = {"cached": "cyan", "recovered": "cyan", "ran": "bold", "waiting": "yellow"}


def show(invocation: Invocation, reference: str) -> None:
    """Carry out `flyte-ray why`."""
    invocation.backend()
    found = why(current_session().blobs(), reference)
    if invocation.writes_json:
        print_document(invocation.out, asdict(found), invocation.options.output_format)
        return
    _print(invocation.out, found)


def _print(out: Console, found: Why) -> None:
    verb = {"waiting": "is waiting", "ran": "ran"}.get(found.verdict, f"was {found.verdict}")
    out.print(
        Text.assemble(
            (f"{found.task} ", "bold"),
            (f"{found.run}/{found.action[:SHORT_ID]} ", "dim"),
            (verb, _STYLES.get(found.verdict, "")),
            f": {found.reason}.",
        )
    )
    if found.nearest is not None and found.verdict in ("ran", "waiting"):
        nearest = f"{found.nearest.run}/{found.nearest.action[:SHORT_ID]}"
        same = "" if found.differences else " it is equal"
        said = f"Compared with {nearest} ({found.nearest.status}):{same}"
        out.print(Text(said, style="dim"))
    print_differences(out, found.differences)
    if found.cache_key:
        out.print(Text(f"cache key {found.cache_key[:16]}", style="dim"))


def print_differences(out: Console, differences: Iterable[Difference]) -> None:
    """A line for each; below it the diff, of code."""
    for each in differences:
        text = Text.assemble("  ", (f"{each.kind} ", "dim"), (each.name, "bold"))
        if not each.lines:
            text.append(f"  {_side(each.before)} → {_side(each.after)}")
        elif each.before is None or each.after is None:
            text.append("  new" if each.before is None else "  gone")
        if not each.counts:
            text.append("  (does not count)", style="dim")
        out.print(text)
        for line in each.lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            out.print(Text(f"      {line}", style=style))


def _side(text: str | None) -> str:
    return "nothing" if text is None else text
