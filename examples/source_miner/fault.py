"""A failure on demand, to see what a run remembers: `SOURCE_MINER_FAIL_AT=847`.

The switch is an environment variable of the run. It is no input of any task and no part of its
code, so it changes no action's id: with the switch gone, everything that succeeded is found again.
`847@NAME` fails in the run NAME only, hence a rerun of that run counts as repaired.
"""

import os

import flyte_ray as flyte

VARIABLE = "SOURCE_MINER_FAIL_AT"


def fail_if_asked(item: int) -> None:
    """Raise ValueError if the switch names this item (and this run, where it names one)."""
    wanted, _, run_name = os.environ.get(VARIABLE, "").partition("@")
    if wanted != str(item):
        return
    context = flyte.ctx()
    if run_name and not (context and context.action.run_name == run_name):
        return
    raise ValueError(f"item {item} was told to fail ({VARIABLE}={os.environ[VARIABLE]})")
