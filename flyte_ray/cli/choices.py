"""Options that several commands share, so that they are spelled and merged in one way.

Options of `run` may stand before FILE, behind it, or behind TASK; what stands further right wins,
and labels and variables add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from flyte_ray.cli.backend import Invocation, RunRequest

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "table-simple", "json", "json-raw")
REPEATABLE = ("labels", "env_vars", "image")
NO_EFFECT = ("image", "no_sync_local_sys_paths", "tui", "tracked", "tracked_strict")
"""Flyte's options that mean nothing here and are accepted, so that its commands work."""


class KeyValue(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The two parts."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not of the form KEY=VALUE.", param, ctx)
        return key, rest


def output_option() -> click.Option:
    """`-o/--output-format`, which may stand behind any command."""

    def store(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        ctx.ensure_object(Invocation).change(output_format=value)

    return click.Option(
        ["-o", "-of", "--output-format"],
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=store,
        help="How results are printed.",
    )


def progress_option() -> click.Option:
    """`--no-progress`, which may stand behind `run` and `rerun` too."""

    def store(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        ctx.ensure_object(Invocation).change(progress=False if value else None)

    return click.Option(
        ["--no-progress"],
        is_flag=True,
        expose_value=False,
        callback=store,
        help="Show no progress while waiting.",
    )


def with_options(*options: click.Option) -> Callable[[click.Command], click.Command]:
    """Add options to a command."""

    def add(command: click.Command) -> click.Command:
        command.params.extend(options)
        return command

    return add


def start_options() -> list[click.Option]:
    """How a run is started: shared by `run` and `rerun`."""
    return [
        click.Option(["--local"], is_flag=True, default=None, help="Run in this process."),
        click.Option(
            ["follow", "-f", "--follow"],
            is_flag=True,
            default=None,
            help="Wait for the run, show its progress, and exit as it ends.",
        ),
        click.Option(["--name"], help="The run's name; default: one is made up."),
        click.Option(
            ["labels", "--label"], type=KeyValue(), multiple=True, help="Label; repeatable."
        ),
        click.Option(
            ["env_vars", "-e", "--env"],
            type=KeyValue(),
            multiple=True,
            help="Environment variable of all actions; repeatable.",
        ),
        click.Option(
            ["--overwrite-cache"],
            is_flag=True,
            default=None,
            help="Ignore cached results, and replace them.",
        ),
        click.Option(
            ["disable_run_cache", "--no-cache"],
            is_flag=True,
            default=None,
            help="Neither read nor write cached results.",
        ),
        click.Option(
            ["--max-action-concurrency"],
            type=click.IntRange(min=2),
            help="Most children of one parent underway at once.",
        ),
        click.Option(["--queue"], help="Queue of the run."),
        click.Option(["-p", "--project", "--run-project"], help="Name space, as in Flyte."),
        click.Option(["-d", "--domain", "--run-domain"], help="Name space, as in Flyte."),
        progress_option(),
        output_option(),
    ]


def run_options() -> list[click.Option]:
    """Options of `run`, at each of its three places."""
    return [
        *start_options(),
        click.Option(
            ["--copy-style"],
            type=click.Choice(["loaded_modules", "all", "none"]),
            help="Which code goes with the run.",
        ),
        click.Option(
            ["--root-dir"],
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Root of the code; default: the folder above FILE's outermost package.",
        ),
        click.Option(["--raw-data-path"], help="Where tasks write files and folders."),
        click.Option(["--version"], help="Version of the code; needed with --copy-style none."),
        click.Option(
            ["--flyte-alias"],
            is_flag=True,
            default=None,
            help="Let `import flyte` mean flyte_ray, so that files written for Flyte run.",
        ),
        click.Option(["--service-account"], hidden=True),
        click.Option(["--debug"], is_flag=True, default=None, hidden=True),
        click.Option(["--image"], multiple=True, hidden=True),
        *(
            click.Option([f"--{name.replace('_', '-')}"], is_flag=True, default=None, hidden=True)
            for name in NO_EFFECT[1:]
        ),
    ]


def names_of(options: Iterable[click.Option]) -> list[str]:
    """Names under which values are found; some options store theirs elsewhere."""
    return [str(option.name) for option in options if option.expose_value]


def merged(ctx: click.Context, names: Iterable[str]) -> dict[str, Any]:
    """Values of the named options over all levels of the command; the innermost wins."""
    levels = [level.params for level in _outermost_first(ctx)]
    values: dict[str, Any] = {}
    for name in names:
        given = [params[name] for params in levels if params.get(name) not in (None, ())]
        if given:
            values[name] = sum(given, ()) if name in REPEATABLE else given[-1]
    return values


def request_of(options: Mapping[str, Any]) -> RunRequest:
    """The options that the client understands; whether we follow is our own business."""
    ours = {"local", "follow", "flyte_alias", *NO_EFFECT}
    passed_on = {key: value for key, value in options.items() if key not in ours}
    if "root_dir" in passed_on:
        passed_on["root_dir"] = str(passed_on["root_dir"].resolve())
    for name in ("labels", "env_vars"):
        if name in passed_on:
            passed_on[name] = dict(passed_on[name])
    return RunRequest(mode="local" if options.get("local") else None, options=passed_on)


def _outermost_first(ctx: click.Context) -> list[click.Context]:
    levels = []
    level: click.Context | None = ctx
    while level is not None:
        levels.append(level)
        level = level.parent
    return levels[::-1]
