"""`flyte-ray plan FILE TASK --args`: the options of `run`, but nothing runs."""

from __future__ import annotations

import importlib
from typing import Any

import click

from flyte_ray.cli.backend import Invocation
from flyte_ray.cli.choices import merged, run_options
from flyte_ray.cli.params import given_inputs
from flyte_ray.cli.run import OPTION_NAMES, FileGroup, RunGroup


class PlanFile(FileGroup):
    """The tasks of one file, to be forecast."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of that task: `run`'s, with another end."""
        command = super().get_command(ctx, cmd_name)
        task = self.loaded(ctx).find(cmd_name)
        assert task is not None, "refused by FileGroup"

        @click.pass_context
        def start(ctx: click.Context, /, **params: Any) -> None:
            options = merged(ctx, OPTION_NAMES)
            uses_cache = not (options.get("disable_run_cache") or options.get("overwrite_cache"))
            invocation = ctx.ensure_object(Invocation)
            show = importlib.import_module("flyte_ray.cli.plan_view").show
            show(invocation, task, given_inputs(task.interface, params), uses_cache=uses_cache)

        command.callback = start
        return command


class PlanGroup(RunGroup):
    """`plan`: takes any FILE as a subcommand."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The group of that file's tasks."""
        return PlanFile(cmd_name)


plan = PlanGroup(
    "plan",
    params=[*run_options()],
    subcommand_metavar="FILE TASK [INPUTS]...",
    short_help="Say what a run would do, without running anything.",
    help=(
        "Say what `flyte-ray run FILE TASK` would do: which calls the cache would answer, which "
        "would run, and for how long, as far as earlier runs of the task tell. Runs nothing."
    ),
    epilog="Example:  flyte-ray plan flow.py main --size 8",
)
