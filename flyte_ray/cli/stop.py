"""`flyte-ray stop pool NAME`: end what stays warm on a cluster."""

from __future__ import annotations

import click

from flyte_ray.cli.backend import Invocation


@click.group(short_help="End what stays warm on a cluster.")
def stop() -> None:
    """End what stays warm on a cluster."""


@stop.command("pool")
@click.argument("name")
@click.pass_obj
def _pool(invocation: Invocation, name: str) -> None:
    """End the pool NAME, or all pools of the environment NAME.

    Attempts that run in it are retried elsewhere, as those of a lost worker.
    """
    for each in invocation.backend().stop_pool(name):
        invocation.err.print(f"Stopped {each}.")
