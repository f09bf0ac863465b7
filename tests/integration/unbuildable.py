"""A run whose workers cannot be built: its job asks for a module that is nowhere.

python unbuildable.py NAME      exit code 1, and the error on stderr
"""

from __future__ import annotations

import sys

import ray

import flyte_ray as flyte

env = flyte.TaskEnvironment("unbuildable")


@env.task(retries=3)
def never() -> int:
    return 1


if __name__ == "__main__":
    ray.init(runtime_env={"py_modules": ["file:///nowhere/at/all.zip"]}, log_to_driver=False)
    run = flyte.with_runcontext(name=sys.argv[1]).run(never)
    run.wait(quiet=True)
    run.raise_for_status()
