"""`flyte-ray run FILE TASK`: a file is a group of commands, its tasks are the commands.

Nothing is imported before it is needed: `run --help` loads no file, `run FILE --help` loads the
file to list its tasks. A task's inputs are options of its command; where an input has the name of
one of `run`'s own options, behind TASK it means the input, before it the option.
"""

from __future__ import annotations

import difflib
from typing import Any

import click

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.choices import NO_EFFECT, merged, names_of, request_of, run_options
from flyte_ray.cli.load import AnyTask, LoadedFile, load_file
from flyte_ray.cli.outcome import carry_out
from flyte_ray.cli.params import description_of, given_inputs, input_options, summary_of

OPTION_NAMES = names_of(run_options())
EPILOG = "The options of `flyte-ray run` may stand here too: see `flyte-ray run --help`."


class RunGroup(click.Group):
    """`run`: takes any FILE as a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The group of that file's tasks; the file is not loaded yet."""
        return FileGroup(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """None: which files hold tasks is only known by importing them."""
        return []


class FileGroup(click.Group):
    """The tasks of one file."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path,
            params=[_hidden(option) for option in run_options()],
            subcommand_metavar="TASK [INPUTS]...",
            help=f"Run a task of {path}.",
            epilog=EPILOG,
        )
        self._path = path
        self._loaded: LoadedFile | None = None

    def loaded(self, ctx: click.Context) -> LoadedFile:
        """The file, imported once."""
        if self._loaded is None:
            options = merged(ctx, ["root_dir", "flyte_alias"])
            self._loaded = load_file(self._path, **options)
        return self._loaded

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The tasks, in the order of definition; imported ones only where there are no others."""
        loaded = self.loaded(ctx)
        return list(loaded.own_tasks or loaded.tasks)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of that task."""
        loaded = self.loaded(ctx)
        task = loaded.find(cmd_name)
        if task is None:
            known = list(loaded.tasks)
            if not known:
                raise click.UsageError(
                    f"{self._path} defines no task; decorate a function with @env.task.", ctx
                )
            near = difflib.get_close_matches(cmd_name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}."
            raise click.UsageError(f"{self._path} has no task {cmd_name!r}.{hint}", ctx)
        return _task_command(cmd_name, task)


def _task_command(name: str, task: AnyTask) -> click.Command:
    inputs = input_options(task.interface)
    taken = {spelling for option in inputs for spelling in (*option.opts, *option.secondary_opts)}
    own = [
        _hidden(option)
        for option in run_options()
        if not taken & {*option.opts, *option.secondary_opts}
    ]

    @click.pass_context
    def start(ctx: click.Context, /, **params: Any) -> None:
        given = given_inputs(task.interface, params)
        ctx.exit(_run(ctx, task, given))

    return click.Command(
        name,
        params=[*inputs, *own],
        callback=start,
        help=description_of(task.interface.doc) or f"Run {task.name}.",
        short_help=summary_of(task.interface.doc),
        epilog=EPILOG,
    )


def _run(ctx: click.Context, task: AnyTask, inputs: dict[str, Any]) -> int:
    invocation = ctx.ensure_object(Invocation)
    options = merged(ctx, OPTION_NAMES)
    for name in NO_EFFECT:
        if name in options:
            spelled = f"--{name.replace('_', '-')}"
            invocation.err.print(f"{spelled} means nothing here and is passed over.", style="dim")
    names = ("project", "domain")
    invocation.change(settings={key: options[key] for key in names if key in options})
    backend, request = invocation.backend(), request_of(options)
    return carry_out(
        invocation, lambda: backend.start(task, inputs, request), follows=options.get("follow")
    )


def _hidden(option: click.Option) -> click.Option:
    option.hidden = True
    return option


run = RunGroup(
    "run",
    params=[*run_options()],
    subcommand_metavar="FILE TASK [INPUTS]...",
    short_help="Run a task of a file.",
    help=(
        "Run TASK of the Python file FILE. The task's parameters are options: "
        "`flyte-ray run FILE --help` lists the tasks, `flyte-ray run FILE TASK --help` a task's "
        "inputs. Exits as the run ends: 0 when it succeeded, 1 when not, 130 after Ctrl-C."
    ),
)
