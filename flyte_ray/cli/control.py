"""`flyte-ray rerun RUN` and `flyte-ray abort RUN`: commands that change runs.

Inputs of a rerun are typed by the run's record: where the old value was a text, so is the new one;
anything else is read as JSON where it is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from flyte_ray.cli.backend import Invocation, RerunRequest, RunHandle
from flyte_ray.cli.choices import (
    merged,
    names_of,
    output_option,
    request_of,
    start_options,
    with_options,
)
from flyte_ray.cli.outcome import carry_out
from flyte_ray.cli.values import load_plain
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.errors import UnsupportedValueError

START_NAMES = names_of(start_options())
TEXT_TYPES = ("str", "builtins.str")


@click.command(
    short_help="Run again, or go on where a run stopped.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("run_name", metavar="RUN")
@click.option("--recover", is_flag=True, help="Adopt what succeeded; only the rest runs.")
@click.option("--action-name", default=ROOT_ACTION, help="Run only this action, as a run.")
@click.option(
    "--force-rerun-action",
    "force_rerun_actions",
    multiple=True,
    help="With --recover: run this action again although it succeeded; repeatable.",
)
@click.option(
    "--allow-missing-outputs",
    is_flag=True,
    help="With --recover: run again what succeeded but whose outputs are gone.",
)
@click.argument("inputs", nargs=-1, type=click.UNPROCESSED, metavar="[--INPUT VALUE]...")
@click.option(
    "--code",
    type=click.Choice(["auto", "stored", "current"]),
    default="auto",
    help="Whose code runs: the earlier run's, or what you have now; auto: now's for --recover.",
)
@click.pass_context
def _rerun(ctx: click.Context, /, run_name: str, inputs: Sequence[str], **asked: Any) -> None:
    """Run RUN again: the same task with the same inputs, but for those that are given here.

    With --recover nothing that succeeded runs again. `--NAME VALUE` replaces the input NAME.
    """
    if run_name.startswith("-"):
        raise click.UsageError(f"RUN comes first, then its inputs: RUN {run_name} VALUE.", ctx)
    invocation = ctx.ensure_object(Invocation)
    options = merged(ctx, START_NAMES)
    names = ("project", "domain")
    invocation.change(settings={key: options[key] for key in names if key in options})
    backend = invocation.backend()
    texts = read_inputs(inputs)
    old_types = _recorded_types(invocation, run_name, asked["action_name"]) if texts else {}
    rerun_request = RerunRequest(
        run_name=run_name,
        action_name=asked["action_name"],
        recover=asked["recover"],
        force_rerun_actions=tuple(asked["force_rerun_actions"]),
        allow_missing_source_outputs=asked["allow_missing_outputs"],
        code=asked["code"],
        inputs={name: _typed(text, old_types.get(name)) for name, text in texts.items()},
    )
    request = request_of(options)
    code = carry_out(
        invocation,
        lambda: backend.start_again(rerun_request, request),
        follows=options.get("follow"),
    )
    ctx.exit(code)


rerun = with_options(*start_options())(_rerun)
rerun.name = "rerun"


def read_inputs(arguments: Sequence[str]) -> dict[str, str]:
    """`--a 1 --b=2 --flag` as texts by name; a name without a value means true.

    Raises:
        click.UsageError: a value without a name.
    """
    found: dict[str, str] = {}
    waiting: str | None = None
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            name, equals, text = argument[2:].partition("=")
            waiting = None if equals else name.replace("-", "_")
            found[name.replace("-", "_")] = text if equals else "true"
        elif waiting is not None:
            found[waiting] = argument
            waiting = None
        else:
            raise click.UsageError(
                f"Got {argument!r}, which belongs to no input; use --NAME VALUE."
            )
    return found


def _recorded_types(invocation: Invocation, run_name: str, action_id: str) -> Mapping[str, str]:
    """The types of the inputs as they were; the client judges run, action and names."""
    for action in invocation.backend().actions(run_name):
        if action.action_id == action_id and action.inputs is not None:
            return {name: value.type for name, value in action.inputs.values.items()}
    return {}


def _typed(text: str, old_type: str | None) -> Any:
    if old_type in TEXT_TYPES:
        return text
    try:
        return load_plain(text)
    except ValueError:
        return text


@click.command(short_help="Stop a run and all below it.", name="abort")
@click.argument("names", metavar="[run] RUN", nargs=-1, required=True)
@click.option("--reason", default="", help="Kept in the record.")
@click.pass_obj
def _abort(invocation: Invocation, names: Sequence[str], reason: str) -> None:
    """Stop RUN: its running actions are cancelled, the others never start. What is done stays.

    A run whose process was killed is closed in the record, once it has given no sign of life for 15
    seconds (45 where the store is remote).
    """
    given = list(names[1:] if names[0] == "run" and len(names) > 1 else names)
    if given[0] == "action" and len(given) > 1:
        raise UnsupportedValueError(
            "A single action cannot be aborted; abort its run: flyte-ray abort RUN."
        )
    backend = invocation.backend()
    why = reason or "aborted from the command line"
    asked: list[RunHandle] = []
    for run in [backend.find(name) for name in given]:  # all, before the first is aborted
        if run.phase.is_terminal:
            invocation.err.print(f"{run.name} has ended already: {run.phase}.")
            continue
        run.abort(reason=why)
        asked.append(run)
    closed = backend.end_abandoned(asked, why)
    for run in asked:
        if run.name in closed:
            said = f"{run.name} was carried by nobody any more; its record is closed."
        else:
            said = f"Aborting {run.name}."
        invocation.err.print(
            f"{said} Go on later: flyte-ray rerun {run.name} --recover", soft_wrap=True
        )


abort = with_options(output_option())(_abort)
