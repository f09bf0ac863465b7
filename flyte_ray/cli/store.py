"""`flyte-ray store compact|gc|export|import`: care for the record as a whole.

Options only; `store_care` does what they ask, loaded when a command runs.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.choices import output_option, with_options
from flyte_ray.cli.moments import parse_duration


class _Age(click.ParamType[timedelta]):
    """A length of time, as people write it."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it; a usage error if it is none."""
        if isinstance(value, timedelta):
            return value
        try:
            age = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if age < timedelta():
            self.fail("an age cannot be negative", param, ctx)
        return age


def _care(name: str, invocation: Invocation, /, **asked: Any) -> Any:
    return getattr(importlib.import_module("flyte_ray.cli.store_care"), name)(invocation, **asked)


@click.group(short_help="Care for the record: compact, gc, export, import.")
def store() -> None:
    """Care for the record as a whole: compact, gc, export, import."""


@click.command(short_help="Fold books into few large files.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.pass_obj
def _compact(invocation: Invocation, /, runs: tuple[str, ...]) -> None:
    """Fold the books of RUNs (default: of all) into few large files.

    Happens by itself while runs go on and when they end; this catches up where a process was
    killed. Safe at any time, beside runs and readers.
    """
    _care("compact", invocation, runs=runs)


@click.command(short_help="Remove old runs.")
@click.option(
    "--older-than",
    type=_Age(),
    required=True,
    metavar="AGE",
    help="Runs that ended so long ago, such as 30d or '12 hours'.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go, and what stays and why.")
@click.option("--abandoned", is_flag=True, help="Also runs that never ended, silent as long.")
@click.option("--kept", is_flag=True, help="Also runs with the label `keep`.")
@click.option("--cached", is_flag=True, help="Also values that the cache needs: misses then.")
@click.pass_obj
def _gc(invocation: Invocation, /, older_than: timedelta, **asked: bool) -> None:
    """Remove old runs with all that is theirs.

    What a run in progress, a kept run, an artifact or the cache needs stays, unless asked for.
    """
    before = datetime.now(UTC) - older_than
    _care("collect", invocation, before=before, **asked)


@click.command(short_help="Write a run into a zip file.")
@click.argument("run", metavar="RUN")
@click.argument("path", metavar="OUT.zip", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def _export(invocation: Invocation, /, run: str, path: Path) -> None:
    """Write RUN with its book, values, files and code into one zip file."""
    _care("export", invocation, run=run, path=path)


@click.command(short_help="Bring an exported run into this store.")
@click.argument(
    "path", metavar="IN.zip", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.pass_obj
def _import(invocation: Invocation, /, path: Path) -> None:
    """Bring the run of a zip file into this store, under its own name."""
    _care("bring_in", invocation, path=path)


for _name, _command in (
    ("compact", _compact),
    ("gc", _gc),
    ("export", _export),
    ("import", _import),
):
    store.add_command(with_options(output_option())(_command), _name)
