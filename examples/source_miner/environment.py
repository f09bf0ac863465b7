"""The one environment of this example: every task in it is cached unless it says otherwise."""

import flyte_ray as flyte

env = flyte.TaskEnvironment(
    name="source_miner",
    description="Learn which package a source file comes from.",
    cache="auto",
)
