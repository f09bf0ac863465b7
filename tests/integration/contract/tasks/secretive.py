"""Tasks with a secret, which they do their best to spread."""

from __future__ import annotations

import logging
import os

import flyte_ray as flyte

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
