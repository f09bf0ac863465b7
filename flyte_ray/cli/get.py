"""`flyte-ray get …`: what the record says of runs, actions, their values and their output.

Everything comes from the store, so it works without a cluster and for runs that ended long ago.
Each noun goes in the singular too (`get run`, as in Flyte). Actions may be named by any unambiguous
beginning of their id.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from flyte_ray.cli.backend import Invocation, RunHandle
from flyte_ray.cli.choices import KeyValue, output_option, progress_option, with_options
from flyte_ray.cli.outcome import carry_out
from flyte_ray.cli.render import (
    ACTION_COLUMNS,
    RUN_COLUMNS,
    action_row,
    action_tree,
    failure_line,
    print_document,
    print_fields,
    print_rows,
    run_row,
    traceback_of,
)
from flyte_ray.cli.value_text import stored_text, values_of
from flyte_ray.client.watch import silence_of
from flyte_ray.core.ids import ROOT_ACTION
from flyte_ray.core.model import ActionPhase
from flyte_ray.core.payload import Payload
from flyte_ray.errors import ActionNotFoundError, UnsupportedValueError

if TYPE_CHECKING:  # pyarrow costs more than a help page may take
    from flyte_ray.store.catalog import RunRecord
    from flyte_ray.store.fold import ActionRecord

PHASES = click.Choice([phase.value for phase in ActionPhase])

Shower = Callable[..., None]


class Nouns(click.Group):
    """A group whose commands answer to their singular as well."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, by either number."""
        singular = {"run": "runs", "action": "actions", "log": "logs"}
        return super().get_command(ctx, singular.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a wrong noun is told the nearest one."""
        if self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no {args[0]!r} to get.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Nouns)
def get() -> None:
    """Show runs, actions, inputs and outputs, logs, and the configuration."""


def _noun(name: str, *more: click.Option) -> Callable[[Shower], click.Command]:
    """Register a function as `get NAME`, with the options that all of them have."""

    def register(function: Shower) -> click.Command:
        command: click.Command = click.command(name)(click.pass_obj(function))
        get.add_command(with_options(*more, output_option())(command))
        return command

    return register


# ------------------------------------------------------------------------------------------- runs


@_noun("runs", progress_option())
@click.argument("name", required=False)
@click.option("--limit", default=20, show_default=True, help="Most runs to list.")
@click.option("--in-phase", type=PHASES, multiple=True, help="Only these; repeatable.")
@click.option("--task-name", help="Only runs of this task.")
@click.option("--with-label", type=KeyValue(), multiple=True, help="Only those; repeatable.")
@click.option("-f", "--follow", is_flag=True, help="With NAME: watch it to its end.")
def _runs(invocation: Invocation, name: str | None, follow: bool, **wanted: Any) -> None:
    """List the latest runs; with NAME, show one."""
    if name is not None and follow:
        code = carry_out(invocation, lambda: _found(invocation, name), follows=True)
        click.get_current_context().exit(code)
    if name is not None:
        _show_run(invocation, invocation.backend().run(name))
        return
    chosen = _chosen(invocation, **wanted)
    if not chosen and not invocation.writes_json:
        invocation.err.print("No runs. Start one: flyte-ray run FILE TASK")
        return
    rows = [run_row(run) for run in chosen]
    print_rows(invocation.out, rows, invocation.options.output_format, columns=RUN_COLUMNS)


def _found(invocation: Invocation, name: str) -> RunHandle:
    """The run; said here and now if nobody seems to carry it, for those who show no progress."""
    run = invocation.backend().find(name)
    if notice := run.progress().notice:
        invocation.err.print(f"{name}: {notice}", markup=False)
    return run


def _chosen(
    invocation: Invocation,
    limit: int,
    in_phase: Sequence[str],
    task_name: str | None,
    with_label: Sequence[tuple[str, str]],
) -> list[RunRecord]:
    filters = in_phase or task_name or with_label
    records = invocation.backend().runs(None if filters else limit)
    wanted = dict(with_label).items()
    return [
        record
        for record in records
        if (not in_phase or record.phase in in_phase)
        and (task_name is None or task_name in _names_of(record))
        and wanted <= dict(record.spec.labels).items()
    ][:limit]


def _names_of(record: RunRecord) -> tuple[str, str]:
    return record.spec.task, record.spec.task.rpartition(".")[2]


def _show_run(invocation: Invocation, record: RunRecord) -> None:
    spec = record.spec
    document: dict[str, Any] = {
        **run_row(record),
        "counts": dict(record.counts),
        "source_run": spec.source_run,
        "relation": spec.relation,
        "user": spec.user,
        "host": spec.host,
        "heartbeat_age_s": record.heartbeat_age_s,
        "notice": silence_of(record),
        "error": failure_line(record.error),
    }
    if invocation.writes_json:
        print_document(invocation.out, document, invocation.options.output_format)
        return
    print_fields(invocation.out, document)


# ---------------------------------------------------------------------------------------- actions


@_noun("actions")
@click.argument("run_name", metavar="RUN")
@click.argument("action_id", metavar="[ACTION]", required=False)
@click.option("--in-phase", type=PHASES, multiple=True, help="Only these, as a list; repeatable.")
@click.option("--all", "everything", is_flag=True, help="Show equal siblings one by one.")
def _actions(
    invocation: Invocation,
    run_name: str,
    action_id: str | None,
    in_phase: Sequence[str],
    everything: bool,
) -> None:
    """Show the actions of RUN as a tree; with ACTION, show one."""
    backend = invocation.backend()
    output_format = invocation.options.output_format
    if action_id is not None:
        _show_action(invocation, find_action(invocation, run_name, action_id))
        return
    actions = [each for each in backend.actions(run_name) if not in_phase or each.phase in in_phase]
    if output_format != "table" or in_phase:
        rows = [action_row(each) for each in actions]
        print_rows(invocation.out, rows, output_format, columns=ACTION_COLUMNS)
        return
    tree = action_tree(backend.run(run_name), actions, everything=everything)
    invocation.out.print(tree)


def find_action(invocation: Invocation, run_name: str, beginning: str) -> ActionRecord:
    """The action whose id begins so.

    Raises:
        ActionNotFoundError: there is none, or more than one.
    """
    matches = [
        each
        for each in invocation.backend().actions(run_name)
        if each.action_id.startswith(beginning)
    ]
    exact = [each for each in matches if each.action_id == beginning]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    found = f"{len(matches)} actions" if matches else "no action"
    raise ActionNotFoundError(
        f"Run {run_name!r} has {found} whose id begins with {beginning!r}: "
        f"`flyte-ray get actions {run_name} --all` lists them."
    )


def _show_action(invocation: Invocation, action: ActionRecord) -> None:
    document: dict[str, Any] = dict(action_row(action))
    document["attempt_list"] = [
        {
            "attempt": attempt.attempt,
            "phase": attempt.phase,
            "node": attempt.node,
            "worker": attempt.worker,
            "error": failure_line(attempt.error),
        }
        for attempt in action.attempts
    ]
    if invocation.writes_json:
        print_document(invocation.out, document, invocation.options.output_format)
        return
    attempts = document.pop("attempt_list")
    print_fields(invocation.out, document)
    if attempts:
        print_rows(invocation.out, attempts, invocation.options.output_format, title="attempts")
    if action.error is not None:
        invocation.out.print(traceback_of(action.error), markup=False)


# ------------------------------------------------------------------------------- values and output


@_noun("io")
@click.argument("run_name", metavar="RUN")
@click.argument("action_id", metavar="[ACTION]", default=ROOT_ACTION)
@click.option("-i", "--inputs-only", is_flag=True)
@click.option("--outputs-only", is_flag=True)
def _io(
    invocation: Invocation,
    run_name: str,
    action_id: str,
    inputs_only: bool,
    outputs_only: bool,
) -> None:
    """Show inputs and outputs of RUN, or of one ACTION of it."""
    if inputs_only and outputs_only:
        raise UnsupportedValueError("--inputs-only and --outputs-only leave nothing to show.")
    action = find_action(invocation, run_name, action_id)
    sides: dict[str, Payload | None] = {}
    if not outputs_only:
        sides["inputs"] = action.inputs
    if not inputs_only:
        sides["outputs"] = action.outputs
    if invocation.writes_json:
        document = {side: values_of(payload) for side, payload in sides.items()}
        print_document(invocation.out, document, invocation.options.output_format)
        return
    rows = [
        {"side": side, "name": name, "type": value.type, "value": stored_text(value)}
        for side, payload in sides.items()
        for name, value in (payload.values.items() if payload is not None else ())
    ]
    if rows:
        print_rows(invocation.out, rows, invocation.options.output_format)
    else:
        invocation.err.print("Nothing recorded: no inputs, and no outputs yet.")


@_noun("logs")
@click.argument("run_name", metavar="RUN")
@click.argument("action_id", metavar="[ACTION]", default=ROOT_ACTION)
@click.option("-a", "--attempt", type=click.IntRange(min=1), help="Default: the last one.")
@click.option("-l", "--lines", type=click.IntRange(min=1), help="Only the last lines.")
def _logs(
    invocation: Invocation,
    run_name: str,
    action_id: str,
    attempt: int | None,
    lines: int | None,
) -> None:
    """Show what RUN's root action printed and logged, or what ACTION did."""
    action = find_action(invocation, run_name, action_id)
    known = sorted({each.attempt for each in action.attempts})
    if attempt is not None and attempt not in known:
        raise UnsupportedValueError(
            f"Action {action.action_id} of run {run_name!r} has no attempt {attempt}; "
            f"it has {', '.join(map(str, known)) or 'none'}."
        )
    text = invocation.backend().log_text(run_name, action.action_id, attempt)
    tried = [each.error for each in action.attempts if attempt in (None, each.attempt)]
    error = (tried[-1] if tried else None) or (action.error if attempt is None else None)
    if lines is not None:
        text = "".join(text.splitlines(keepends=True)[-lines:])
    if invocation.writes_json:
        document = {
            "run": run_name,
            "action": action.action_id,
            "text": text,
            "error": failure_line(error),
        }
        print_document(invocation.out, document, invocation.options.output_format)
        return
    if text:
        click.echo(text, nl=not text.endswith("\n"))
    if error is not None:
        invocation.err.print(traceback_of(error), style="red", markup=False)
    elif not text:
        invocation.err.print(
            f"Action {action.action_id} printed nothing. Others: flyte-ray get actions {run_name}"
        )


@_noun("pools")
def _pools(invocation: Invocation) -> None:
    """List the pools of warm replicas on the connected cluster."""
    rows = [{**each, "idle_s": round(each["idle_s"], 1)} for each in invocation.backend().pools()]
    if rows or invocation.writes_json:
        print_rows(invocation.out, rows, invocation.options.output_format)
    else:
        invocation.err.print("No pools. Tasks of reusable environments keep them on a cluster.")


@_noun("config")
def _config(invocation: Invocation) -> None:
    """Show every setting, its value, and where that came from."""
    lines = invocation.backend().settings.explain()
    rows = [{"setting": each.name, "value": each.value, "from": each.origin} for each in lines]
    print_rows(invocation.out, rows, invocation.options.output_format)
