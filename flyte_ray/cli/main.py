"""The command `flyte-ray`: its global options, its verbs, and what becomes of errors.

Each verb is imported when it is used, so that `--help` and a quick look at a run start fast. Every
error ends here as one panel on stderr and an exit code: 1 for what failed, 2 for a wrong call, 130
for Ctrl-C. Tracebacks are for `-v`.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import click

from flyte_ray.cli.backend import Backend, GlobalOptions, Invocation
from flyte_ray.cli.choices import output_option
from flyte_ray.cli.render import error_panel
from flyte_ray.errors import FlyteRayError, UsageError

COMMANDS = {
    "run": ("flyte_ray.cli.run", "Run a task of a file."),
    "rerun": ("flyte_ray.cli.control", "Run again, or go on where a run stopped."),
    "get": ("flyte_ray.cli.get", "Show runs, actions, values, logs and settings."),
    "abort": ("flyte_ray.cli.control", "Stop a run and all below it."),
    "signal": ("flyte_ray.cli.signal", "Answer what a run waits for."),
    "plan": ("flyte_ray.cli.plan", "Say what a run would do, without running anything."),
    "stop": ("flyte_ray.cli.stop", "End what stays warm on a cluster."),
    "sql": ("flyte_ray.cli.explain", "Ask the record in SQL."),
    "why": ("flyte_ray.cli.explain", "Say why an action ran, or did not."),
    "diff": ("flyte_ray.cli.explain", "Show where two runs part."),
    "replay": ("flyte_ray.cli.explain", "Run a recorded attempt here, or make it a test."),
    "lineage": ("flyte_ray.cli.explain", "Show where a value came from, or what was made of it."),
    "store": ("flyte_ray.cli.store", "Care for the record: compact, gc, export, import."),
}
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FAILED = 1
WRONG_CALL = 2
INTERRUPTED = 130
IGNORED = ("endpoint", "image_builder", "auth_type", "org")
"""Flyte's global options for its backend; accepted, so that its commands work."""


class Verbs(click.Group):
    """Commands by name, each imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, the most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a wrong verb is told the nearest one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in COMMANDS.items()])


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"flyte-ray {metadata.version('flyte-ray')}")
        ctx.exit()


@click.group(cls=Verbs, context_settings=CONTEXT)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
@click.option("-v", "--verbose", count=True, help="Log more, and show tracebacks; repeatable.")
@click.option("-c", "--config", help="Configuration file; ours or Flyte's.")
@click.option("--store", help="Root URL of the record; default: FLYTE_RAY_STORE, else at home.")
@click.option("--address", help="Ray cluster to attach to; default: RAY_ADDRESS, else embedded.")
@click.option("--log-format", type=click.Choice(["console", "json"]))
@click.option("--user-log-level", help="Level of what tasks log.")
@click.option("--reset-root-logger", is_flag=True, help="Take other log handlers away.")
@click.option("--no-progress", is_flag=True, help="Show no progress while waiting.")
@click.option("--endpoint", hidden=True)
@click.option("--image-builder", "--builder", hidden=True)
@click.option("--auth-type", hidden=True)
@click.option("--org", hidden=True)
@click.option("--insecure", is_flag=True, hidden=True)
@click.pass_context
def cli(ctx: click.Context, /, **given: Any) -> None:
    """Durable workflows on Ray: run tasks, watch them, look into their record."""
    invocation = ctx.ensure_object(Invocation)
    names = ("store", "address", "log_format", "user_log_level")
    settings = {name: given[name] for name in names if given[name] is not None}
    if given["verbose"]:
        settings["log_level"] = "DEBUG" if given["verbose"] > 1 else "INFO"
    if given["reset_root_logger"]:
        os.environ["FLYTE_RESET_ROOT_LOGGER"] = "1"
    invocation.change(
        config=given["config"],
        verbose=given["verbose"] or None,
        progress=False if given["no_progress"] else None,
        settings=settings,
    )


cli.params.append(output_option())


def open_backend(options: GlobalOptions) -> Backend:
    """The real house, imported on first use."""
    backend: Backend = importlib.import_module("flyte_ray.cli.house").open_house(options)
    return backend


def answer(arguments: Sequence[str], invocation: Invocation) -> int:
    """Carry out one command line; the exit code. Errors are printed, none is raised."""
    try:
        code = cli.main(
            list(arguments), prog_name="flyte-ray", standalone_mode=False, obj=invocation
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        invocation.err.print("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough; Python must not complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  the command line's door: told, not swallowed
        return _tell(error, invocation)
    return code if isinstance(code, int) else 0


def _tell(error: Exception, invocation: Invocation) -> int:
    if invocation.options.verbose:
        invocation.err.print("".join(traceback.format_exception(error)), markup=False)
    # A task's own failure has its own type; the panel then names it.
    title = error.code if isinstance(error, FlyteRayError) else type(error).__name__
    invocation.err.print(error_panel(str(error) or title, title))
    if not invocation.options.verbose and not isinstance(error, FlyteRayError):
        invocation.err.print("flyte-ray -v … shows the traceback.", style="dim")
    return WRONG_CALL if isinstance(error, UsageError) else FAILED


def main() -> None:
    """The console script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a mark that cannot be shown ends no command
    sys.exit(answer(sys.argv[1:], Invocation(open_backend)))
