"""Starting runs: options, names, the handle (§6, §43)."""

import asyncio
import logging
from pathlib import Path

import flyte
from said import attempt, say

env = flyte.TaskEnvironment(name="running")


@env.task
async def leaf(x: int = 1) -> int:
    return x + 1


@env.task
async def spawns() -> int:
    run = await flyte.with_runcontext("local").run.aio(leaf, 5)
    return run.outputs()[0]


OPTIONS = {
    "service_account": "s",
    "version": "v",
    "copy_style": "all",
    "raw_data_path": None,
    "overwrite_cache": False,
    "env_vars": {"A": "b"},
    "labels": {"a": "b"},
    "annotations": {},
    "interruptible": True,
    "log_level": logging.WARNING,
    "disable_run_cache": False,
    "queue": "q",
    "custom_context": {"k": "v"},
    "preserve_original_types": False,
}

if __name__ == "__main__":
    flyte.init_from_config(root_dir=Path.cwd(), log_level=logging.WARNING)
    run = flyte.with_runcontext("local", **OPTIONS).run(leaf, x=4)
    say("outputs", (run.outputs()[0], run.outputs().o0, run.outputs().named_outputs))
    run.wait()
    say("has a url", bool(run.url))
    say("default", flyte.with_runcontext("local").run(leaf).outputs()[0])
    say("aio", asyncio.run(flyte.with_runcontext("local").run.aio(leaf, 2)).outputs()[0])
    attempt("inside a task", lambda: flyte.with_runcontext("local").run(spawns).outputs()[0])
    for case, options in {
        "hybrid alone": {"mode": "hybrid"},
        "custom copy": {"copy_style": "custom"},
        "no copy, no version": {"copy_style": "none"},
        "one at once": {"max_action_concurrency": 1},
        "less than none": {"max_action_concurrency": -1},
    }.items():
        attempt(case, lambda o=options: flyte.with_runcontext(**o) and "accepted")
    attempt("unknown mode", lambda: flyte.with_runcontext("nonsense") and "accepted")
    attempt("unknown option", lambda: flyte.with_runcontext(nonsense=1) and "accepted")
    attempt("missing configuration", lambda: flyte.init_from_config("/nowhere.yaml"))
