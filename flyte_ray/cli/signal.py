"""`flyte-ray signal RUN NAME [VALUE]`: answer what a run waits for, or list what it asks."""

from __future__ import annotations

import click

from flyte_ray.cli.backend import Invocation
from flyte_ray.client.signal import Condition


@click.command(short_help="Answer what a run waits for.")
@click.argument("words", nargs=-1, required=True, metavar="[condition] RUN [NAME] [VALUE]")
@click.pass_context
def signal(ctx: click.Context, /, words: tuple[str, ...]) -> None:
    """Answer the condition NAME of RUN with VALUE, `true` by default; without NAME, list them.

    NAME is the condition's name, or the id of its action.
    """
    asked = list(words[1:] if words[0] == "condition" and len(words) > 1 else words)
    if len(asked) > 3:
        raise click.UsageError("too many words: RUN NAME VALUE; put a VALUE with spaces in quotes.")
    ctx.ensure_object(Invocation).backend()  # settles the session: store, settings, logging
    if len(asked) == 1:
        _list(asked[0])
        return
    condition = Condition.get(asked[1], run_name=asked[0])
    try:
        condition.signal(asked[2] if len(asked) == 3 else _yes(condition))
    except TypeError as error:
        raise click.BadParameter(str(error)) from error
    click.echo(f"{condition.name}: {condition.answer}")


def _yes(condition: Condition) -> bool:
    if condition.expected_type is not bool:
        raise click.UsageError(
            f"{condition.name} ({condition.prompt}) wants a {condition.expected_type.__name__} as "
            "VALUE."
        )
    return True


def _list(run_name: str) -> None:
    found = Condition.listall(run_name)
    for each in found:
        answer = each.answer
        shown = "waits" if answer is None else f"answered: {answer}"
        kind = each.expected_type.__name__
        click.echo(f"{each.name}  ({kind})  {each.prompt}  [{each.task_name}]  {shown}")
    if not found:
        click.echo(f"{run_name} asks nothing.", err=True)
