"""Tasks with a secret, which they do their best to spread."""

from __future__ import annotations

import contextlib
import logging
import os

import flyte_ray as flyte
from flyte_ray import report

env = flyte.TaskEnvironment(
    name="contract_secretive", secrets=[flyte.Secret("api-key", group="shop")]
)


@env.task
async def prints() -> int:
    value = os.environ["SHOP_API_KEY"]
    print("printed", value)
    logging.getLogger(__name__).warning("logged %s", value)
    return len(value)


@env.task
def raises() -> None:
    raise PermissionError(f"refused: {os.environ['SHOP_API_KEY']}")


@flyte.trace
def shows(how: str) -> str:
    if how == "raised":
        raise ValueError(os.environ["SHOP_API_KEY"])
    return os.environ["SHOP_API_KEY"]


@env.task(report=True)
def reports() -> int:
    report.log(f"<b>{os.environ['SHOP_API_KEY']}</b>")
    with contextlib.suppress(ValueError):
        shows("raised")
    return 1


@env.task
def length(text: str) -> int:
    return len(text)


@env.task
def spreads(how: str) -> dict[str, str]:
    value = os.environ["SHOP_API_KEY"]
    if how == "to a task":
        length(value)
    if how == "in a trace":
        shows("returned")
    if how == "in a checkpoint":
        flyte.ctx().checkpoint.save_sync(f"token={value}".encode())
    return {"token": value}
