"""`flyte-ray sql|lineage|why|diff|plan|replay`: what the record can be asked.

Options only: what is shown is decided by the `*_view` rooms, which are loaded when a command runs,
since reading the record takes libraries that a help page should not wait for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.choices import output_option, with_options

Show = Callable[..., Any]


def _show(view: str) -> Show:
    """The function of a view, loaded now."""
    show: Show = importlib.import_module(f"flyte_ray.cli.{view}").show
    return show


def _example(text: str) -> str:
    return f"Example:  {text}"


@click.command(epilog=_example('flyte-ray sql "select task, count(*) from actions group by all"'))
@click.argument("query")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="Default: a table, or what the name of --output says.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a file.")
@click.option("--run", "runs", multiple=True, help="Read only this run; repeatable.")
@click.pass_obj
def _sql(invocation: Invocation, /, query: str, **options: Any) -> None:
    """Ask the record in SQL (DuckDB): views runs, actions, attempts, edges, cache, artifacts.

    Runs in progress are included as they stand. `describe actions` names a view's columns.
    """
    _show("sql_view")(invocation, query, **options)


sql = with_options(output_option())(_sql)
sql.name = "sql"


@click.command(epilog=_example("flyte-ray lineage brisk-otter/a0/o0"))
@click.argument("reference", metavar="RUN[/ACTION[/VALUE]]")
@click.option("--forward", is_flag=True, help="What was made of it; default: where it came from.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "json", "dot", "html"]),
    help="Default: a tree. dot is for Graphviz, html a page that needs nothing else.",
)
@click.option("--depth", default=30, show_default=True, help="Steps that the tree shows.")
@click.pass_obj
def _lineage(invocation: Invocation, /, reference: str, **options: Any) -> None:
    """Show where a value came from, or what was made of it.

    VALUE is an output or input (`o0`, `inputs.city`) or an element of one (`o0[3]`, `o0['k']`).
    ACTION is an id, the beginning of one, or a task that ran once. Without a VALUE: that of all
    outputs (with --forward: all inputs).
    """
    _show("lineage_view")(invocation, reference, **options)


lineage = with_options(output_option())(_lineage)
lineage.name = "lineage"


@click.command(epilog=_example("flyte-ray why brisk-otter/train"))
@click.argument("reference", metavar="RUN[/ACTION]")
@click.pass_obj
def _why(invocation: Invocation, /, reference: str) -> None:
    """Say why an action ran, was answered from the cache, or was recovered.

    Compares it with the nearest earlier call of its task and names each component that differs: an
    input and which field of it, functions and constants of the code as a diff, packages.
    """
    _show("why_view")(invocation, reference)


why = with_options(output_option())(_why)
why.name = "why"


@click.command(epilog=_example("flyte-ray diff brisk-otter calm-heron"))
@click.argument("before", metavar="RUN_A")
@click.argument("after", metavar="RUN_B")
@click.pass_obj
def _diff(invocation: Invocation, /, before: str, after: str) -> None:
    """Show where two runs part: the first action that differs and in what, then time and cost."""
    _show("diff_view")(invocation, before, after)


diff = with_options(output_option())(_diff)
diff.name = "diff"


@click.command(epilog=_example("flyte-ray replay brisk-otter/train --pdb"))
@click.argument("reference", metavar="RUN/ACTION")
@click.option("--attempt", type=click.IntRange(min=1), help="Default: the last one.")
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger where it fails.")
@click.option(
    "--code",
    type=click.Choice(["recorded", "current"]),
    default="recorded",
    help="Whose code runs: the run's own (default), or what can be imported here.",
)
@click.option(
    "--export-test",
    "export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a pytest with code and inputs instead.",
)
@click.pass_context
def _replay(ctx: click.Context, /, reference: str, **options: Any) -> None:
    """Run one recorded attempt here, in this process, with its exact inputs and code.

    Its calls and traced steps are answered from the record; nothing is written to the store. Exits
    with 0 if it returns, 1 if it raises.
    """
    ctx.exit(_show("replay_view")(ctx.ensure_object(Invocation), reference, **options))


replay = with_options(output_option())(_replay)
replay.name = "replay"
